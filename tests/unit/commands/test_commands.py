"""Rules for every command of ours."""

import pytest

from qemu_cli import extensions
from qemu_cli.command import Command
from qemu_cli.commands import GROUPS

ENTRIES = extensions.own("qemu_cli.commands")


@pytest.mark.parametrize("name", ENTRIES)
def test_a_command_has_help_and_examples(name):
    command = ENTRIES[name].load()
    words = name.replace("_", " ")
    assert issubclass(command, Command)
    assert command.__doc__, "the docstring is the help"
    assert not command.__doc__.startswith("\n")
    assert command.examples
    for example in command.examples:
        assert f"qemu {words}" in example
    parser = command(None, None).get_parser(f"qemu {words}")
    assert parser.format_help()


def test_every_command_is_in_one_group_of_the_help():
    grouped = [words for group in GROUPS.values() for words in group]
    assert len(grouped) == len(set(grouped))
    assert {name.replace("_", " ") for name in ENTRIES} == set(grouped)


def test_the_line_of_the_help_is_that_of_the_command():
    lines = {
        words: line
        for group in GROUPS.values()
        for words, line in group.items()
    }
    assert lines == {
        name.replace("_", " "): entry.load().summary()
        for name, entry in ENTRIES.items()
    }


def test_version(qemu_home):
    version = qemu_home("version", "-f", "json").json
    assert version["schema"] >= 1
    assert {"qemu-cli", "python", "cliff", "qemu.qmp"} <= version.keys()


def test_version_names_each_qemu(qemu_home, tmp_path):
    qemu = tmp_path / "qemu-system-sh4"
    qemu.touch(mode=0o755)
    setting = f"qemu.path={tmp_path}"
    found = qemu_home("-c", setting, "version", "-f", "json").json["qemu"]
    assert {"arch": "sh4", "path": str(qemu)} in found


def test_plugin_list_all_has_what_is_built_in(qemu_home):
    rows = qemu_home("plugin", "list", "--all", "-f", "json").json
    (ours,) = (row for row in rows if row["name"] == "qemu-cli")
    assert {*ours["commands"]} == {name.replace("_", " ") for name in ENTRIES}
    assert ours["why"] is None
    assert ours["status"] == "ok"
