"""The scripts know all words of all parsers."""

import subprocess

import pytest

from qemu_cli import completion, extensions
from qemu_cli.app import QemuApp
from qemu_cli.completion import table


@pytest.fixture(scope="module")
def scripts():
    parser = QemuApp().parser
    return {
        name: completion.script(name, parser) for name in completion.SHELLS
    }


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_every_command_and_option_is_in_it(scripts, shell):
    script = scripts[shell]
    assert "@" not in script.replace('"$@"', "").replace("[@]", "")
    for command in table.commands({}):
        assert f"'{command.words}'" in script
        assert f"'{' '.join(command.options)}'" in script


def test_the_bash_script_is_clean(scripts):
    done = subprocess.run(
        ["shellcheck", "-"],
        input=scripts["bash"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""


def test_what_takes_what():
    commands = {command.words: command for command in table.commands({})}
    assert len(commands) == len(extensions.own("qemu_cli.commands"))
    assert commands["start"].arguments == ("vm*",)
    assert commands["disk info"].arguments == ("vm", "disk")
    assert commands["snapshot diff"].arguments == (
        "vm",
        "snapshot",
        "snapshot",
    )
    assert commands["create"].arguments == ("any",)
    assert "--accel=one:auto,kvm,tcg" in commands["create"].takes
    (columns,) = [e for e in commands["list"].takes if "--filter" in e]
    assert columns.startswith("--filter=one:name,state,")
    assert columns.endswith("/operator/any")
    assert "--format=one:lines,ndjson" in commands["events"].takes
    assert "--dry-run" in commands["create"].options


def test_no_word_has_a_quote():
    words = table.words(QemuApp().parser, [])
    for each in [*words.values(), *(c.takes for c in table.commands({}))]:
        assert not [word for word in each if "'" in word or "\\" in word]


PLUGIN = """
from qemu_cli.command import Command

class Hello(Command):
    \"\"\"Say hello.\"\"\"
    examples = ("qemu hello",)

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--how", choices=("loud", "low"))
        return parser

    def take_action(self, parsed_args):
        pass

class Odd(Hello):
    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument("--so", choices=("it's", "$(reboot)"))
        return parser
"""


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_commands_of_plug_ins_are_in_it(distributions, qemu_with, shell):
    targets = {"hello": "hello:Hello", "odd": "hello:Odd", "gone": "gone:X"}
    points = {"qemu_cli.commands": targets}
    distributions.add("hello", points, {"hello": PLUGIN})
    script = qemu_with("completion", shell)
    assert script.rc == 0, script.err
    assert "'hello'" in script.out
    assert "--how=one:loud,low" in script.out
    assert "'odd'" not in script.out
    assert "'gone'" not in script.out
    assert "reboot)" not in script.out
