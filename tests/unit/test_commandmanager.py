"""Commands of others are found when they are needed, and not before."""

import configparser
from pathlib import Path

import pytest

from qemu_cli import commandmanager
from qemu_cli.commandmanager import (
    CommandManager,
    GroupAloneError,
    UnknownCommandError,
)

COMMANDS = "qemu_cli.commands"

HELLO = '''
from qemu_cli.command import Command

class Hello(Command):
    """Say hello."""
    examples = ("qemu hello",)

    def take_action(self, args):
        self.app.stdout.write("hello\\n")
'''


def test_only_exact_words_are_a_command():
    manager = CommandManager()
    command, words, rest = manager.find_command(["config", "get", "memory"])
    assert command.__name__ == "ConfigGet"
    assert (words, rest) == ("config get", ["memory"])
    with pytest.raises(UnknownCommandError, match="'lis'"):
        manager.find_command(["lis"])


def test_a_mistyped_word_is_answered_with_the_nearest():
    with pytest.raises(UnknownCommandError) as caught:
        CommandManager().find_command(["verison"])
    assert caught.value.hint == "did you mean version?"
    assert caught.value.exit_code == 2


def test_a_noun_alone_is_not_a_command():
    with pytest.raises(GroupAloneError) as caught:
        CommandManager().find_command(["config"])
    assert caught.value.words == "config"


def test_a_noun_with_an_unknown_verb_names_the_verbs():
    with pytest.raises(UnknownCommandError) as caught:
        CommandManager().find_command(["config", "frobnicate"])
    assert "get, list, set, unset" in str(caught.value.hint)


@pytest.mark.parametrize("words", [["exec", "web"], ["guest", "ip"], ["top"]])
def test_what_our_own_plug_ins_have_is_told(words):
    with pytest.raises(UnknownCommandError, match=words[0]) as caught:
        CommandManager().find_command(words)
    assert "it is in the plug-in qemu-cli-" in str(caught.value.hint)


def test_they_have_what_is_told():
    checkout = Path(__file__).parents[2]
    for plugin, told in commandmanager.IN_PLUGINS.items():
        setup = configparser.ConfigParser()
        setup.read(checkout / f"plugins/{plugin}/setup.cfg")
        lines = setup["options.entry_points"][COMMANDS].split("\n")
        nouns = {line.split(" =")[0].split("_")[0] for line in lines if line}
        assert set(told) == nouns


def test_a_plug_in_adds_a_command(distributions, qemu_with):
    distributions.add(
        "hello", {COMMANDS: {"say_hello": "hello:Hello"}}, {"hello": HELLO}
    )
    assert qemu_with("say", "hello").out == "hello\n"
    assert "say hello  Say hello\n" in qemu_with("help", "--all").out


def test_a_plug_in_can_not_replace_a_command_of_ours(distributions, qemu_with):
    distributions.add(
        "hello", {COMMANDS: {"version": "hello:Hello"}}, {"hello": HELLO}
    )
    assert "qemu-cli" in qemu_with("version").out
    row = qemu_with("plugin", "list", "-f", "json").json[0]
    assert (row["name"], row["status"]) == ("hello", "broken")
    assert row["why"] == (
        "the command 'version' is never used: qemu-cli has it too, and its "
        "own is used"
    )


def test_a_command_that_two_plug_ins_have_is_named(distributions, qemu_with):
    for name in ("one", "two"):
        distributions.add(
            name, {COMMANDS: {"hello": "hello:Hello"}}, {"hello": HELLO}
        )
    result = qemu_with("hello")
    assert result.rc == 8
    assert "one 1.0 and two 1.0" in result.err


TRIPWIRE = "import pathlib, sys; pathlib.Path(__file__ + '.seen').touch()\n"


def test_two_hundred_plug_ins_and_a_broken_one(distributions, qemu_with):
    for number in range(200):
        distributions.add(
            f"foreign{number}",
            {COMMANDS: {f"foreign{number}": f"foreign{number}:Hello"}},
            {f"foreign{number}": TRIPWIRE + HELLO},
        )
    distributions.add(
        "shaky", {COMMANDS: {"shaky": "shaky:Shaky"}}, {"shaky": "import nix"}
    )

    assert qemu_with("list", "-f", "json").json == []
    assert list(distributions.directory.glob("*.seen")) == []

    assert qemu_with("foreign7").out == "hello\n"
    seen = list(distributions.directory.glob("*.seen"))
    assert [path.name for path in seen] == ["foreign7.py.seen"]

    broken = qemu_with("shaky")
    assert broken.rc == 8
    assert "shaky 1.0" in broken.err
    assert "No module named 'nix'" in broken.err

    rows = qemu_with("plugin", "list", "-f", "json").json
    assert len(rows) == 201
    assert [row["name"] for row in rows if row["status"] != "ok"] == ["shaky"]
    help_text = qemu_with("help", "--all").out
    assert "foreign199" in help_text
    assert "shaky" in help_text
