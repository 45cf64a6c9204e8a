"""Settings files are changed without losing what people wrote."""

import tomllib

import pytest

from qemu_cli import configfile
from qemu_cli.errors import NotFoundError, QemuCliError


@pytest.fixture
def file(tmp_path):
    return tmp_path / "new" / "config.toml"


def test_a_file_is_made_when_there_is_none(file):
    configfile.put(file, "lock.timeout", "5s")
    configfile.put(file, "lock.timeout", "6s")
    configfile.put(file, "memory", "2G")
    configfile.put(file, "qemu.binary.x86_64", "/opt/qemu")
    assert tomllib.loads(file.read_text()) == {
        "memory": "2G",
        "lock": {"timeout": "6s"},
        "qemu": {"binary": {"x86_64": "/opt/qemu"}},
    }


def test_comments_and_order_stay(file):
    file.parent.mkdir()
    file.write_text(
        '# mine\nmemory = "2G"  # enough\n\n[alias]\nup = "start"\n'
    )
    configfile.put(file, "memory", "4G")
    configfile.put(file, "alias.a.b", "list")
    text = file.read_text()
    assert text.startswith('# mine\nmemory = "4G"  # enough\n')
    assert tomllib.loads(text)["alias"] == {"up": "start", "a.b": "list"}


def test_a_value_and_more_below_its_name(file):
    """``memory`` is a setting, and ``memory set`` a command."""
    configfile.put(file, "memory", "4G")
    configfile.put(file, "memory.set.timeout", "5s")
    both = {"memory": "4G", "memory.set.timeout": "5s"}
    assert tomllib.loads(file.read_text()) == both
    configfile.drop(file, "memory")
    configfile.put(file, "memory.set.format", "json")
    configfile.put(file, "memory", "4G")
    assert tomllib.loads(file.read_text()) == both | {
        "memory.set.format": "json"
    }
    configfile.drop(file, "memory.set.format")
    assert tomllib.loads(file.read_text()) == both


def test_a_link_stays_a_link(file, tmp_path):
    target = tmp_path / "dotfiles.toml"
    target.touch()
    file.parent.mkdir()
    file.symlink_to(target)
    configfile.put(file, "memory", "4G")
    assert file.is_symlink()
    assert target.read_text() == 'memory = "4G"\n'


def test_unset_removes_the_key_and_empty_tables(file):
    configfile.put(file, "lock.timeout", "5s")
    configfile.put(file, "memory", "2G")
    configfile.drop(file, "lock.timeout")
    assert tomllib.loads(file.read_text()) == {"memory": "2G"}


def test_unset_repairs_an_unknown_key(file):
    file.parent.mkdir()
    file.write_text("memroy = 1\n")
    configfile.drop(file, "memroy")
    assert file.read_text() == ""


@pytest.mark.parametrize("key", ["memory", "lock.timeout", "memory.a.b"])
def test_unset_of_what_is_not_set(file, key):
    file.parent.mkdir()
    file.write_text("cpus = 1\n")
    with pytest.raises(NotFoundError, match=key):
        configfile.drop(file, key)


def test_a_broken_file_is_left_alone(file):
    file.parent.mkdir()
    file.write_text("memory = \n")
    with pytest.raises(QemuCliError, match=r"config\.toml"):
        configfile.put(file, "memory", "1G")
    assert file.read_text() == "memory = \n"
