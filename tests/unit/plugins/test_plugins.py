"""What ``qemu plugin`` says of good, bad and ugly plug-ins."""

import json
from typing import Any

import pytest

from tests.unit.plugins.installed import COMMANDS, GOOD, HOOKS, Qemu, rows


def test_a_good_one(add_good: None, qemu_with: Qemu) -> None:
    row = rows(qemu_with)["good"]
    assert row["commands"] == ["hello", "say hello"]
    assert row["columns"] == ["loud"]
    assert row["formats"] == ["nothing"]
    assert row["hooks"] == ["created"]
    assert row["why"] is None or "take" in row["why"]  # a busy machine
    assert 0 < row["hooks_s"] < row["import_s"]
    assert qemu_with("plugin", "doctor").rc == 0


def test_show_has_it_all(add_good: None, qemu_with: Qemu) -> None:
    done = qemu_with("plugin", "show", "good", "-f", "json")
    shown = done.json
    assert (shown["name"], shown["version"]) == ("good", "1.0")
    assert [part["target"] for part in shown["parts"]] == [
        "good",
        "good:Hello",
        "good:Hello",
        "good:column",
        "good:Format",
    ]


def test_show_of_an_unknown_one(add_good: None, qemu_with: Qemu) -> None:
    done = qemu_with("plugin", "show", "goood")
    assert done.rc == 3
    assert "hint: did you mean good?" in done.err


def test_no_plug_in_at_all(qemu_with: Qemu) -> None:
    done = qemu_with("plugin", "list", "-f", "json")
    assert done.json == []
    assert "qemu plugin new" in done.err
    assert qemu_with("plugin", "doctor").rc == 0


#: What a module does when it is imported, and what is said of it.
BAD = {
    "raises": ("1 / 0", "ZeroDivisionError: division by zero"),
    "lacks": ("import nix", "ModuleNotFoundError: No module named 'nix'"),
    "leaves": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "ends": ("import os; os._exit(0)", "its import ended the process"),
    "dies": (
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "its import ended the process (signal 9)",
    ),
    "hangs": (
        "import time; time.sleep(3600)",
        "its import takes longer than 3 s",
    ),
}


def test_bad_ones_are_named_and_harm_nobody(
    add_good: None, distributions: Any, qemu_with: Qemu
) -> None:
    for name, (source, _) in BAD.items():
        source += "\nprint('{ not JSON')\n"
        distributions.add(
            name, {COMMANDS: {name: f"{name}:X"}}, {name: source}
        )
    found = rows(qemu_with, "-c", "plugin.timeout=3s")
    assert found["good"]["status"] in ("ok", "slow")
    for name, (_, why) in BAD.items():
        assert found[name]["status"] == "broken"
        assert found[name]["why"] == f"the command {name!r}: {why}"
    assert qemu_with("hello").out == "hello\n"
    for name in ("raises", "lacks", "leaves"):
        done = qemu_with(name)
        assert done.rc == 8
        assert f"qemu plugin disable {name}" in done.err
    doctor = qemu_with("-c", "plugin.timeout=3s", "plugin", "doctor")
    assert doctor.rc == 1
    for name in BAD:
        assert f"fail  {name}" in doctor.out


def test_the_rest_after_one_that_ends_is_not_tried(
    distributions: Any, qemu_with: Qemu
) -> None:
    distributions.add(
        "two",
        {COMMANDS: {"a": "enda:X", "b": "good:Hello"}},
        {"enda": "import os; os._exit(0)", "good": GOOD},
    )
    assert rows(qemu_with)["two"]["why"] == (
        "the command 'a': its import ended the process; "
        "the command 'b': not tried: one before it failed"
    )


#: Entry points of a module that imports, and what is wrong with them.
WRONG = {
    "no command": (COMMANDS, "print", "no subclass of qemu_cli.command.Co"),
    "options": (COMMANDS, "Twice", "its options: ArgumentError"),
    "no column": ("qemu_cli.columns.list", "__name__", "no function of a VM"),
    "no format": ("qemu_cli.formatters.show", "Format", "no method emit_one"),
    "no profile": ("qemu_cli.profiles", "Format", "no subclass of qemu_cli.p"),
    "no condition": ("qemu_cli.conditions", "Lacks", "it lacks hold"),
    "no options": ("qemu_cli.options.create", "Format", "no subclass of qemu"),
    "lacks": ("qemu_cli.options.create", "Half", "it lacks extra"),
    "no group": ("qemu_cli.comands", "Hello", "mean qemu_cli.commands"),
}


WRONG_SOURCE = (
    GOOD
    + '''
from qemu_cli.conditions import Condition


class Twice(Hello):
    """Has an option twice."""

    def get_parser(self, name):
        parser = super().get_parser(name)
        parser.add_argument("--help")


class Lacks(Condition):
    pass


from qemu_cli.command.options import CreateOptions


class Half(CreateOptions):
    def add(self, parser):
        pass
'''
)


@pytest.mark.parametrize("what", WRONG)
def test_what_is_not_what_we_take_it_for(
    distributions: Any, qemu_with: Qemu, what: str
) -> None:
    group, target, why = WRONG[what]
    module = "builtins" if target == "print" else "wrong"
    distributions.add(
        "wrong", {group: {"x": f"{module}:{target}"}}, {"wrong": WRONG_SOURCE}
    )
    assert why in rows(qemu_with)["wrong"]["why"]


HOOK_SOURCES = {
    "def qemu_cli_created(vm): pass": "is not marked with @hookimpl",
    "@hookimpl\ndef qemu_cli_create(vm): pass": (
        "there is no hook qemu_cli_create (did you mean qemu_cli_created"
    ),
    "@hookimpl\ndef qemu_cli_created(vm, why): pass": "has no argument why",
    "pass": "it has no function qemu_cli_… marked with @hookimpl",
}


@pytest.mark.parametrize("source", HOOK_SOURCES)
def test_a_hook_that_is_never_called(
    distributions: Any, qemu_with: Qemu, source: str
) -> None:
    distributions.add(
        "hooked",
        {HOOKS: {"hooked": "hooked"}},
        {"hooked": f"from qemu_cli.hookspecs import hookimpl\n{source}\n"},
    )
    assert HOOK_SOURCES[source] in rows(qemu_with)["hooked"]["why"]


def test_a_slow_one_is_named(
    add_good: None, distributions: Any, qemu_with: Qemu
) -> None:
    distributions.add(
        "slow",
        {HOOKS: {"slow": "slow"}},
        {"slow": f"import time; time.sleep(1.1)\n{GOOD}"},
    )
    row = rows(qemu_with)["slow"]
    assert row["status"] == "slow"
    assert row["hooks_s"] > 1.1
    assert "every command that changes a VM waits" in row["why"]
    doctor = qemu_with("plugin", "doctor", "slow")
    assert doctor.rc == 0
    assert "warn  slow" in doctor.out
    assert "fix: qemu plugin disable slow" in doctor.out

    created = qemu_with("create", "web", "--accel", "tcg")
    assert created.rc == 0
    assert "warning: the plug-in slow 1.0 took" in created.err


def test_two_with_one_name_are_both_named(
    add_good: None, distributions: Any, qemu_with: Qemu
) -> None:
    distributions.add("twin", {COMMANDS: {"hello": "good:Hello"}})
    found = rows(qemu_with)
    assert "twin 1.0 has it too" in found["good"]["why"]
    assert "good 1.0 has it too" in found["twin"]["why"]
    assert qemu_with("hello").rc == 8
    assert qemu_with("plugin", "disable", "twin").rc == 0
    assert qemu_with("hello").out == "hello\n"
    assert rows(qemu_with)["good"]["status"] != "broken"


def test_notes_for_the_author(distributions: Any, qemu_with: Qemu) -> None:
    distributions.add(
        "bare",
        {COMMANDS: {"bare": "bare:Bare"}},
        {
            "bare": "from qemu_cli.command import Command\n"
            "class Bare(Command):\n    def take_action(self, args): pass\n"
        },
    )
    doctor = qemu_with("plugin", "doctor", "-f", "json")
    assert doctor.rc == 0
    said = json.dumps(doctor.json)
    assert "it has no docstring" in said
    assert "it has no examples" in said
