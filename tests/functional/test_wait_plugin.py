"""qemu wait with a condition of a third party's distribution."""

import threading
from pathlib import Path

import pytest

from qemu_cli.testing.home import QemuHome, Result

SMALL = ("--memory", "64M", "--accel", "tcg", "--nic", "none")

PLUGIN = """
import asyncio
from pathlib import Path

from qemu_cli.conditions import Condition
from qemu_cli.errors import StateError, UsageError


class File(Condition):
    takes = "a path"

    async def hold(self, host, vm):
        while not Path(self.argument).exists():
            await asyncio.sleep(0.05)
        return f"{vm.name} has its file"


class Fails(Condition):
    async def hold(self, host, vm):
        raise StateError("it never will", hint="give up")
"""


class Waiting:
    """``qemu wait`` where a plug-in is installed."""

    def __init__(self, home: QemuHome, site: Path) -> None:
        self._home = home
        self._environment = {"PYTHONPATH": str(site)}
        info = site / "qemu_cli_files-1.dist-info"
        info.mkdir(parents=True)
        (site / "qemu_cli_files.py").write_text(PLUGIN)
        (info / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: qemu-cli-files\nVersion: 1\n"
        )
        (info / "entry_points.txt").write_text(
            "[qemu_cli.conditions]\nfile = qemu_cli_files:File\n"
            "fails = qemu_cli_files:Fails\nbroken = qemu_cli_files:Nothing\n"
        )

    def __call__(self, *words: str) -> Result:
        return self._home("wait", *words, environment=self._environment)


@pytest.fixture
def waiting(qemu_home: QemuHome, tmp_path: Path) -> Waiting:
    for name in ("web", "db"):
        assert qemu_home("create", name, *SMALL).rc == 0
    assert qemu_home("start", "--paused", "web", "db").rc == 0
    return Waiting(qemu_home, tmp_path / "site")


def test_it_is_waited_for_beside_ours(
    waiting: Waiting, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    wish = ("--for", f"file:{file}")
    late = waiting("web", *wish, "--timeout", "500ms")
    assert late.rc == 7
    assert f"not within 0.5 s: web: file:{file}" in late.err
    file.touch()
    every = waiting("web", "db", *wish, "--for", "paused", "-f", "json")
    assert every.rc == 0, every.err
    seen = {(row["name"], row["seen"]) for row in every.json}
    assert seen == {
        ("web", "web has its file"),
        ("db", "db has its file"),
        ("web", "paused: prelaunch"),
        ("db", "paused: prelaunch"),
    }


def test_what_goes_wrong_with_it_is_named(waiting: Waiting) -> None:
    for wish, code, why in (
        ("file", 2, "it needs an argument: a path"),
        ("fails", 4, "it never will"),
        ("fil:x", 2, "did you mean file"),
        ("broken", 8, "qemu-cli-files"),
    ):
        result = waiting("web", "--for", wish)
        assert (result.rc, why in result.err) == (code, True), result


def test_it_ends_with_the_vm(waiting: Waiting, qemu_home: QemuHome) -> None:
    """Nobody waits for a file of a VM that has ended."""
    ending = threading.Timer(1.0, qemu_home, ("quit", "web"))
    ending.start()
    result = waiting("web", "--for", "file:/nosuch", "--timeout", "30s")
    ending.join()
    assert result.rc == 4
    assert "'web' has ended, and file:/nosuch did not come" in result.err
