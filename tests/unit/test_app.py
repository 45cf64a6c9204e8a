"""The executable: exit codes, streams, global options, aliases."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from qemu_cli.testing.home import QemuHome

COMMANDS = "qemu_cli.commands"

RAISER = '''
import signal, os
from qemu_cli import errors
from qemu_cli.command import Command

class Raise(Command):
    """Raise what the word says."""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument("what")
        return parser

    def take_action(self, args):
        if args.what == "signal":
            os.kill(os.getpid(), signal.SIGINT)
        if args.what == "os":
            open("/nowhere/at/all")
        raise vars(errors).get(args.what, ZeroDivisionError)("what went wrong")
'''


@pytest.fixture
def raiser(distributions, qemu_with):
    distributions.add(
        "raiser", {COMMANDS: {"raise": "raiser:Raise"}}, {"raiser": RAISER}
    )
    return lambda *words: qemu_with(*words)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("QemuCliError", 1),
        ("UsageError", 2),
        ("NotFoundError", 3),
        ("StateError", 4),
        ("RefusedError", 5),
        ("BusyError", 6),
        ("TimedOutError", 7),
        ("PluginError", 8),
    ],
)
def test_each_error_has_its_exit_code(raiser, name, code):
    result = raiser("raise", name)
    assert result.rc == code
    assert result.err == "qemu: error: what went wrong\n"
    assert result.out == ""


def test_an_unexpected_error_is_ours(raiser):
    result = raiser("raise", "zero")
    assert result.rc == 1
    assert "internal error: ZeroDivisionError" in result.err
    assert "Traceback" not in result.err
    assert "Traceback" in raiser("--debug", "raise", "zero").err


def test_what_the_system_says_of_a_file_is_no_fault_of_ours(raiser):
    result = raiser("raise", "os")
    assert result.rc == 1
    assert result.err == (
        "qemu: error: /nowhere/at/all: No such file or directory\n"
    )


def test_ctrl_c_is_130_and_silent(raiser):
    result = raiser("raise", "signal")
    assert (result.rc, result.err) == (130, "")


def test_nothing_typed_shows_what_there_is(qemu_home: QemuHome):
    result = qemu_home()
    assert result.rc == 1
    assert result.out.startswith("usage: qemu ")
    assert "Life of a VM" in result.out
    assert max(map(len, result.out.splitlines())) <= 80


def test_help_of_a_command_in_three_ways(qemu_home: QemuHome):
    texts = {
        qemu_home("version", "--help").out,
        qemu_home("help", "version").out,
        qemu_home("--help", "version").out,
    }
    (text,) = texts
    assert text.startswith("usage: qemu version")
    assert "examples:\n  qemu version\n" in text


def test_a_noun_alone_shows_its_verbs(qemu_home: QemuHome):
    alone = qemu_home("config")
    assert alone.rc == 1
    assert "config unset" in alone.out
    told = qemu_home("help", "config")
    assert (told.rc, told.err) == (0, "")
    assert told.out.startswith(alone.out), "the topic's page comes after it"


def test_global_options_end_at_the_first_word(qemu_home: QemuHome):
    assert qemu_home("-q", "version").rc == 0
    after = qemu_home("version", "--debug")
    assert after.rc == 2
    assert "--debug" in after.err
    assert qemu_home("--deb", "version").rc == 2  # no abbreviations


def test_version_is_one_line(qemu_home: QemuHome):
    result = qemu_home("--version")
    assert result.rc == 0
    assert result.out.split()[0] == "qemu-cli"


def test_a_setting_for_one_run(qemu_home: QemuHome):
    result = qemu_home("-c", "memory=3G", "config", "get", "memory")
    assert result.out == "3G\n"
    assert qemu_home("-c", "memory=3X", "config", "list").rc == 2


def test_a_log_file_has_everything(qemu_home: QemuHome, tmp_path):
    log = tmp_path / "log"
    result = qemu_home("--log-file", str(log), "version")
    assert result.rc == 0
    assert log.exists()
    assert qemu_home("--log-file", "/nowhere/log", "version").rc == 1


@pytest.mark.parametrize("reader", ["true", "head -0"])
def test_a_reader_that_goes_away_ends_it_quietly(qemu_home, reader):
    done = subprocess.run(
        [
            "bash",
            "-c",
            # Written only once nobody can read it any more.
            f"{{ sleep 1; exec {qemu_home.executable} version; }} | {reader};"
            "echo ${PIPESTATUS[0]}",
        ],
        env=qemu_home.environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert (done.stdout, done.stderr) == ("141\n", "")


def test_a_full_disk_behind_stdout_is_told(qemu_home: QemuHome):
    for buffered in ("", "1"):
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [qemu_home.executable, "version"],
                env={**qemu_home.environment, "PYTHONUNBUFFERED": buffered},
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
                timeout=120,
            )
        assert done.returncode == 1
        assert "No space left on device" in done.stderr
        assert "Traceback" not in done.stderr
        assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_do_no_harm(qemu_home: QemuHome, closed):
    done = subprocess.run(
        ["bash", "-c", f"{qemu_home.executable} version {closed}"],
        env=qemu_home.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert ("qemu-cli" in done.stdout) == (
        ">&-" not in f" {closed}".replace("2>&-", "")
    )


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "latin-1"},
    ],
)
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-c", "core.editor=ë→", "config", "list"], b"core.editor"),
        (["help"], b"usage: qemu [OPTION"),
    ],
)
def test_a_poor_locale_does_no_harm(
    qemu_home: QemuHome, environment, words, said
):
    done = subprocess.run(
        [qemu_home.executable, *words],
        env={**qemu_home.environment, **environment},
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert said in done.stdout


def test_an_alias_stands_for_words(qemu_home: QemuHome):
    qemu_home("config", "set", "alias.show-me", "config get $1")
    assert qemu_home("show-me", "memory").out == "1G\n"


def test_a_shell_alias_gets_the_arguments(qemu_home: QemuHome):
    alias = "alias.x=!printf '%s|' one"
    result = qemu_home("-c", alias, "x", "two three", "$(four)")
    assert result.out == "one|two three|$(four)|"


def test_aliases_that_go_in_a_circle(qemu_home: QemuHome):
    result = qemu_home("-c", "alias.a=b", "-c", "alias.b=a", "a")
    assert result.rc == 2
    assert "never end" in result.err


def test_shell_aliases_that_call_each_other(qemu_home: QemuHome):
    settings = ("-c", "alias.a=!exec qemu b", "-c", "alias.b=!exec qemu a")
    result = qemu_home(*settings, "a")
    assert result.rc == 2
    assert "these aliases never end: a → b → a" in result.err


def test_aliases_are_in_the_help(qemu_home: QemuHome):
    qemu_home("config", "set", "alias.up", "start --console")
    qemu_home("config", "set", "alias.a", "b")
    qemu_home("config", "set", "alias.b", "a")
    qemu_home("config", "set", "alias.s", "!date")
    for words in ((), ("help",), ("help", "--all")):
        assert re.search(
            r"^Aliases of yours\n(  .*\n)*  up +start --console$",
            qemu_home(*words).out,
            re.MULTILINE,
        )
    about = qemu_home("help", "up").out
    assert about.startswith("up is an alias of yours: start --console\n\n")
    assert "usage: qemu start" in about
    assert qemu_home("help", "s").out == "s is an alias of yours: !date\n"
    assert qemu_home("help", "a").out == "a is an alias of yours: b\n"


def test_an_alias_can_not_hide_a_command(qemu_home: QemuHome):
    result = qemu_home("-c", "alias.version=!echo no", "version")
    assert "no\n" not in result.out


def test_an_executable_on_path_is_a_command(qemu_home: QemuHome, tmp_path):
    script = tmp_path / "qemu-greet"
    script.write_text('#!/bin/sh\necho "hello $1"\nexit 7\n')
    script.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    result = qemu_home("greet", "you", environment={"PATH": path})
    assert (result.rc, result.out) == (7, "hello you\n")
    overview = qemu_home("help", "--all", environment={"PATH": path}).out
    assert "runs qemu-greet" in overview
    assert "qemu-img" not in overview


def test_qemus_own_programs_are_no_commands(qemu_home: QemuHome):
    result = qemu_home("img", "--version")
    assert result.rc == 2
    assert "'img' is not a qemu command" in result.err
