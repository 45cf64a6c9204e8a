"""The order in which a real life of a VM calls the hooks.

doc/explanation/hooks.md draws it.
"""

import os
from pathlib import Path

import pytest

from qemu_cli.testing.home import QemuHome, Result

PLUGIN = """
import os
import pathlib

from qemu_cli.hookspecs import hookimpl

LOG = pathlib.Path(os.environ["HOOK_LOG"])


def note(text):
    with LOG.open("a") as file:
        file.write(text + "\\n")
    if text.split()[0] == os.environ.get("HOOK_FAILS"):
        raise RuntimeError("no luck")


def noted(name):
    def hook(vm):
        note(f"{name} {vm.name} {'running' if vm.pid else 'stopped'}")
    hook.__name__ = f"qemu_cli_{name}"
    return hookimpl(hook)


for name in (
    "check_definition",
    "created",
    "add_arguments",
    "before_start",
    "after_start",
    "before_shutdown",
    "after_shutdown",
    "deleted",
):
    globals()[f"qemu_cli_{name}"] = noted(name)


@hookimpl
def qemu_cli_after_exit(vm, reason):
    note(f"after_exit {vm.name} {reason}")


@hookimpl
def qemu_cli_cloned(source, vm):
    note(f"cloned {source.name} {vm.name}")
"""


class Plugged:
    """``qemu`` with the plug-in above; tells which hooks it called."""

    def __init__(self, qemu_home: QemuHome, directory: Path) -> None:
        self.qemu_home = qemu_home
        self.directory = directory
        self.log = directory / "log"
        info = directory / "recorder-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: recorder\nVersion: 1.0\n"
        )
        (info / "entry_points.txt").write_text(
            "[qemu_cli.hooks]\nrecorder = recorder_plugin\n"
        )
        (directory / "recorder_plugin.py").write_text(PLUGIN)

    def __call__(self, *words: str, fails: str = "") -> Result:
        return self.qemu_home(
            *words,
            environment={
                "PYTHONPATH": str(self.directory),
                "HOOK_LOG": str(self.log),
                "HOOK_FAILS": fails,
                "PATH": os.environ["PATH"],
            },
        )

    def calls(self) -> list[str]:
        """What was called since the last time."""
        text = self.log.read_text() if self.log.exists() else ""
        self.log.unlink(missing_ok=True)
        return text.splitlines()


@pytest.fixture
def qemu(qemu_home: QemuHome, tmp_path: Path) -> Plugged:
    return Plugged(qemu_home, tmp_path)


def done(result: Result) -> None:
    assert result.rc == 0, result.err


def test_the_order_of_hooks(qemu: Plugged) -> None:
    done(qemu("create", "web", "--accel", "tcg", "--memory", "64M"))
    assert qemu.calls() == [
        "check_definition web stopped",
        "created web stopped",
    ]

    done(qemu("start", "web"))
    assert qemu.calls() == [
        "add_arguments web stopped",
        "before_start web stopped",
        "after_start web running",
    ]

    # There is no guest in it, so it ends only when it is made to.
    done(qemu("shutdown", "web", "--timeout", "1s", "--force"))
    assert qemu.calls() == [
        "before_shutdown web running",
        "after_exit web host-qmp-quit",
        "after_shutdown web running",
    ]

    done(qemu("delete", "web", "--yes"))
    assert qemu.calls() == ["deleted web stopped"]


def test_a_clone_is_told(qemu: Plugged) -> None:
    done(qemu("create", "web", "--accel", "tcg", "--memory", "64M"))
    qemu.calls()
    done(qemu("clone", "web", "two"))
    assert qemu.calls() == ["check_definition two stopped", "cloned web two"]


CREATE = ("create", "web", "--accel", "tcg", "--memory", "64M")
START = ("start", "web")
END = ("shutdown", "web", "--timeout", "1s", "--force")


@pytest.mark.parametrize(
    ("hook", "before", "words", "state"),
    [
        ("check_definition", [], CREATE, None),
        ("check_definition", [CREATE], ("set", "web", "cpus=2"), "stopped"),
        ("check_definition", [CREATE], ("clone", "web", "two"), "stopped"),
        ("add_arguments", [CREATE], START, "stopped"),
        ("before_start", [CREATE], START, "stopped"),
        ("before_shutdown", [CREATE, START], END, "running"),
    ],
)
def test_a_plug_in_that_stops_it(
    qemu: Plugged,
    hook: str,
    before: list[tuple[str, ...]],
    words: tuple[str, ...],
    state: str | None,
) -> None:
    for each in before:
        done(qemu(*each))
    result = qemu(*words, fails=hook)
    assert result.rc == 8
    assert f"the hook {hook} of the plug-in" in result.err
    assert "no luck" in result.err
    assert "Traceback" not in result.err
    rows = qemu.qemu_home("list", "-f", "json").json
    assert [row["state"] for row in rows] == ([state] if state else [])
    if rows:
        assert rows[0]["cpus"] == 1
    assert not list(qemu.qemu_home.paths.pending.glob("*"))


@pytest.mark.parametrize(
    ("hook", "before", "words", "states"),
    [
        ("created", [], CREATE, ["stopped"]),
        ("cloned", [CREATE], ("clone", "web", "two"), ["stopped"] * 2),
        ("after_start", [CREATE], START, ["running"]),
        ("after_start", [], (*CREATE, "--start"), ["running"]),
        ("after_exit", [CREATE, START], END, ["stopped"]),
        ("after_exit", [CREATE, START], ("kill", "web"), ["stopped"]),
        ("after_shutdown", [CREATE, START], END, ["stopped"]),
        ("deleted", [CREATE], ("delete", "web", "--yes"), []),
    ],
)
def test_a_plug_in_that_fails_after_the_fact(
    qemu: Plugged,
    hook: str,
    before: list[tuple[str, ...]],
    words: tuple[str, ...],
    states: list[str],
) -> None:
    for each in before:
        done(qemu(*each))
    result = qemu(*words, fails=hook)
    assert result.rc == 0, result.err
    assert f"qemu: warning: the hook {hook}" in result.err
    assert "no luck" in result.err
    rows = qemu.qemu_home("list", "-f", "json").json
    assert [row["state"] for row in rows] == states
