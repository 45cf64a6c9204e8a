"""Settings: scopes, types, families, files of others."""

import os
import re
from pathlib import Path

import pytest

from qemu_cli import settings
from qemu_cli.config import Config, refuse_foreign
from qemu_cli.errors import QemuCliError, UsageError


@pytest.fixture
def files(tmp_path: Path):
    return {"user": tmp_path / "user.toml", "system": tmp_path / "sys.toml"}


def config(files, environ=None, overrides=()) -> Config:
    return Config(**files, environ=environ or {}, overrides=overrides)


def test_each_scope_beats_the_one_before(files):
    def seen(environ=None, overrides=(), instance=None):
        found = config(files, environ, overrides)
        if instance:
            found = found.for_instance(instance, "web")
        value = found.lookup("lock.timeout")
        return value.text, value.scope

    assert seen() == ("10s", "default")
    files["system"].write_text('lock.timeout = "1s"\n')
    assert seen() == ("1s", "system")
    files["user"].write_text('[lock]\ntimeout = "2s"\n')
    assert seen() == ("2s", "user")
    instance = {"lock": {"timeout": "3s"}}
    assert seen(instance=instance) == ("3s", "instance")
    environ = {"QEMU_CLI_CONFIG_LOCK_TIMEOUT": "4s"}
    assert seen(environ, instance=instance) == ("4s", "environment")
    overrides = ["lock.timeout=5s"]
    assert seen(environ, overrides, instance) == ("5s", "command")


def test_an_instances_view_changes_no_other(files):
    ours = config(files)
    ours.for_instance({"start": {"timeout": "4s"}}, "web")
    assert ours[settings.START_TIMEOUT] == 30


def test_values_have_types(files):
    files["user"].write_text('memory = "2G"\ncpus = 4\n')
    ours = config(files, overrides=["lock.timeout=1.5m"])
    assert ours[settings.MEMORY] == 2 << 30
    assert ours[settings.CPUS] == 4
    assert ours[settings.LOCK_TIMEOUT] == 90


def test_every_default_is_valid():
    for setting in settings.SETTINGS.values():
        setting.parse(setting.default)
        assert setting.doc


def test_families_of_settings(files):
    files["user"].write_text('[alias]\nup = "start"\n')
    environ = {"QEMU_CLI_CONFIG_QEMU_BINARY_X86_64": "/opt/qemu"}
    ours = config(files, environ, ["alias.down=shutdown"])
    assert ours.members(settings.ALIAS) == {"up": "start", "down": "shutdown"}
    assert ours[settings.QEMU_BINARY.of("x86_64")] == "/opt/qemu"
    assert ours[settings.QEMU_BINARY.of("arm")] == ""


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["memroy=1G"], "no setting 'memroy'"),
        (["memory=much"], "memory: 'much' is not a size"),
        (["lock.timeout=soon"], "not a duration"),
        (["accel=hvf"], "not one of auto, kvm, tcg"),
        (["cpus=0"], "not a whole number above 0"),
        (["memory"], "expected KEY=VALUE"),
        (["alias.=x"], "no setting 'alias.'"),
    ],
)
def test_what_makes_no_sense_is_refused(files, overrides, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        config(files, overrides=overrides)


def test_what_is_unknown_is_warned_about_with_the_nearest(files):
    files["user"].write_text("memroy = 1\ncpus = 3\n")
    told = []
    environ = {"QEMU_CLI_CONFIG_MEMROY": "1G", "QEMU_CLI_CONFIG_CPUS": "2"}
    ours = Config(**files, environ=environ, warn=told.append)
    assert ours[settings.CPUS] == 2
    assert ours[settings.MEMORY] == 1 << 30
    assert told == [
        "QEMU_CLI_CONFIG_MEMROY: there is no setting 'memroy'; "
        "did you mean memory?",
        f"{files['user']}: there is no setting 'memroy'; did you mean memory?",
    ]


def test_truth_in_toml(files):
    files["user"].write_text("list.foreign = false\nadvice.accel = true\n")
    ours = config(files, overrides=["advice.errors=off"])
    assert ours[settings.LIST_FOREIGN] is False
    assert ours[settings.ADVICE["accel"]] is True
    assert ours[settings.ADVICE["errors"]] is False


def test_a_file_that_is_no_toml_is_named(files):
    files["user"].write_text("memory = \n")
    with pytest.raises(QemuCliError, match=r"user\.toml"):
        config(files)[settings.MEMORY]


@pytest.mark.parametrize("key", ["cpus", "memory", "forward.host"])
def test_what_counts_at_create_is_not_for_an_instance(files, key):
    with pytest.raises(UsageError, match="can't be set by an instance"):
        config(files).for_instance({key: "1"}, "web")


@pytest.mark.parametrize(
    "key", ["alias.ls", "core.editor", "core.pager", "pager.log", "qemu.path"]
)
def test_an_instance_may_not_say_what_is_run(files, key):
    with pytest.raises(UsageError, match="can't be set by an instance"):
        config(files).for_instance({key: "rm -rf /"}, "web")


def test_a_file_that_everybody_may_write_is_refused(files):
    files["user"].write_text("cpus = 4\n")
    files["user"].chmod(0o666)
    with pytest.raises(QemuCliError, match="everybody may write") as caught:
        config(files)[settings.CPUS]
    assert "chmod o-w" in str(caught.value.hint)


def test_a_file_of_another_user_is_refused(tmp_path):
    file = tmp_path / "config.toml"
    file.touch()
    status = file.stat()
    stranger = os.stat_result((*status[:4], os.geteuid() + 1, *status[5:]))
    with pytest.raises(QemuCliError, match="another user"):
        refuse_foreign(file, stranger)
    refuse_foreign(file, status)


def test_items_have_every_setting_and_what_is_set(files):
    keys = [k for k, _ in config(files, overrides=["alias.x=y"]).items()]
    singles = [n for n, s in settings.SETTINGS.items() if not s.family]
    assert keys == sorted([*singles, "alias.x"])
