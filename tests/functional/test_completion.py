"""TAB in real shells.

The ``qemu`` that they find writes down how it is called, and answers as
the installed one does: what TAB asks of it is seen, and so is what Enter
runs.
"""

import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from qemu_cli.testing.home import QemuHome

TIMEOUT_S = 60

#: What makes each shell an interactive one, with the script in it.
BEGIN = {
    "bash": "bind 'set enable-bracketed-paste off'; source {script}",
    "zsh": "autoload -Uz compinit; compinit -u -D; zle_bracketed_paste=();"
    " source {script}",
}
ARGV = {
    "bash": ("bash", ["--norc", "--noprofile", "-i"]),
    "zsh": ("zsh", ["-f", "-i"]),
}


class Shell:
    """A shell with our script, and the programs that it starts."""

    def __init__(self, name: str, home: QemuHome, directory: Path) -> None:
        self.name = name
        self.log = directory / "called"
        self.log.touch()
        self.script = directory / "script"
        self.script.write_text(_script(name, home))
        self._fake(directory / "bin", "qemu", home.executable)
        for python in ("python", "python3"):
            self._fake(directory / "bin", python, Path("/bin/false"))
        self.environment = home.environment | {
            "PATH": f"{directory / 'bin'}:{home.environment['PATH']}",
            "TERM": "xterm",
            "HOME": str(directory),
            "ZDOTDIR": str(directory),
            "XDG_CONFIG_HOME": str(directory),
        }

    def _fake(self, directory: Path, name: str, real: Path) -> None:
        directory.mkdir(exist_ok=True)
        file = directory / name
        file.write_text(
            f'#!/bin/sh\necho "{name} $*" >>{shlex.quote(str(self.log))}\n'
            f'[ -t 1 ] || exec {shlex.quote(str(real))} "$@"\n'
            'echo "ENTER:$*:"\n'
        )
        file.chmod(0o755)

    def calls(self) -> list[str]:
        return self.log.read_text().splitlines()

    def complete(self, line: str) -> str:
        """What a line becomes by TAB; one candidate, or what is common."""
        if self.name == "fish":
            return self._fish(line)
        program, argv = ARGV[self.name]
        with pexpect.spawn(
            program,
            argv,
            env=self.environment,
            encoding="utf-8",
            timeout=TIMEOUT_S,
            dimensions=(50, 300),
        ) as shell:
            begin = BEGIN[self.name].format(script=self.script)
            shell.sendline(f"{begin}; echo READ''Y")
            shell.expect("READY\r\n")
            shell.send(f"{line}\t")
            # Typed into the line as well, wherever TAB has left the cursor.
            shell.sendline("")
            shell.expect(r"ENTER:([^\r\n]*):\r")
            return f"qemu {shell.match[1]}".rstrip()

    def _fish(self, line: str) -> str:
        done = subprocess.run(
            [
                *("fish", "--no-config", "-c"),
                f"source {self.script}; complete -C {shlex.quote(line)}",
            ],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=True,
        )
        assert done.stderr == ""
        (found,) = done.stdout.splitlines()
        return line.rpartition(" ")[0] + " " + found.partition("\t")[0]


_scripts: dict[str, str] = {}


def _script(name: str, home: QemuHome) -> str:
    """Made once: it is the same for all tests."""
    if name not in _scripts:
        made = home("completion", name)
        assert (made.rc, made.err) == (0, "")
        _scripts[name] = made.out
    return _scripts[name]


@pytest.fixture(params=["bash", "zsh", "fish"])
def shell(
    request: pytest.FixtureRequest, qemu_home: QemuHome, tmp_path: Path
) -> Shell:
    return Shell(request.param, qemu_home, tmp_path)


@pytest.fixture
def instances(qemu_home: QemuHome) -> Iterator[Callable[..., None]]:
    """Two stopped VMs with one disk each."""
    for name in ("alpha", "beta.2"):
        made = qemu_home(
            *("create", name, "--disk", "1M", "--accel", "tcg"),
            *("--nic", "none", "--memory", "64M"),
        )
        assert made.rc == 0, made.err
    yield qemu_home


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("qemu sna", "qemu snapshot"),
        ("qemu snapshot rev", "qemu snapshot revert"),
        ("qemu list --all-k", "qemu list --all-kinds"),
        ("qemu list -f ndj", "qemu list -f ndjson"),
        ("qemu list --state unr", "qemu list --state unresponsive"),
        ("qemu --trace", "qemu --trace-qmp"),
        ("qemu -q -c snapshot.max", "qemu -q -c snapshot.max-freeze"),
        ("qemu config get lock.t", "qemu config get lock.timeout"),
        ("qemu help exit", "qemu help exit-codes"),
        ("qemu create x --firmware ue", "qemu create x --firmware uefi"),
        ("qemu list --filter a con", "qemu list --filter a contains"),
    ],
)
def test_words(shell: Shell, typed: str, line: str) -> None:
    assert shell.complete(typed) == line


def test_a_vm_starts_no_python(
    shell: Shell, instances: Callable[..., None]
) -> None:
    for typed, line in (
        ("qemu start al", "qemu start alpha"),
        ("qemu start alpha be", "qemu start alpha beta.2"),
        ("qemu disk info be", "qemu disk info beta.2"),
        (
            "qemu config list --instance al",
            "qemu config list --instance alpha",
        ),
        ("qemu mine al", "qemu mine alpha"),
    ):
        shell.log.write_text("")
        assert shell.complete(typed) == line
        # Enter calls it, where there is an Enter; TAB does not.
        ran = [] if shell.name == "fish" else [line]
        assert shell.calls() == ran


def test_what_is_in_a_vm(shell: Shell, instances: QemuHome) -> None:
    made = instances("snapshot", "create", "alpha", "monday")
    assert made.rc == 0, made.err
    assert shell.complete("qemu disk info alpha di") == (
        "qemu disk info alpha disk0"
    )
    assert shell.complete("qemu snapshot show alpha mo") == (
        "qemu snapshot show alpha monday"
    )


def test_data_in_another_place(
    shell: Shell, instances: QemuHome, tmp_path: Path
) -> None:
    (tmp_path / "qemu-cli").symlink_to(instances.directory)
    del shell.environment["QEMU_CLI_HOME"]
    shell.environment["XDG_DATA_HOME"] = str(tmp_path)
    assert shell.complete("qemu start al") == "qemu start alpha"


def test_a_name_runs_nothing(
    shell: Shell, qemu_home: QemuHome, tmp_path: Path
) -> None:
    witness = tmp_path / "ran"
    evil = qemu_home.paths.instances / "evil$(touch ran)"
    evil.mkdir(parents=True)
    (evil / "instance.toml").touch()
    qemu_home.environment["PWD"] = str(tmp_path)
    shell.complete("qemu show evi")
    assert not witness.exists()
    assert not Path("ran").exists()
