"""qemu snapshot create, and somebody is killed in the middle.

Whether the program or QEMU: nothing is lost, and the next command repairs
what is left.
"""

import signal
import subprocess
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from qemu_cli.instance.snapshots import store
from tests.functional.killing import kill_in, moments
from tests.functional.snapshots.checks import (
    check,
    consistent,
    tags,
    until_written,
)

if TYPE_CHECKING:
    from tests.functional.snapshots.conftest import Machine

    Make = Callable[..., "Machine"]

TIMEOUT_S = 120.0
MIB = 1 << 20


@pytest.mark.parametrize(
    ("running", "options"),
    [
        (False, ()),
        (True, ()),
        (False, ("--external",)),
        (True, ("--external",)),
        (True, ("--external", "--ram")),
    ],
)
def test_the_program_is_killed(
    vm: "Machine", running: bool, options: tuple[str, ...]
) -> None:
    vm.write(1)
    if running:
        vm.ok("start", vm.name)
    create = ("snapshot", "create", vm.name)
    for number, (when, index) in enumerate(moments()):
        vm.write(number + 1)
        if not kill_in(vm.home, when, index, *create, f"s{number}", *options):
            break
        assert vm.home("list").rc == 0
        repaired = vm.ok("set", vm.name, "config.lock.timeout=9s")
        if "had been interrupted" in repaired.err:
            took_back = "took it back" in repaired.err
            names = [each.name for each in store.load(vm.paths).snapshots]
            assert (f"s{number}" in names) != took_back
        else:
            # Only the note of how long it took was lost.
            assert store.load(vm.paths).find(f"s{number}")
        assert not vm.paths.journal.exists()
        assert vm.state == ("running" if running else "stopped")
        assert vm.holds(number + 1)
        consistent(vm)
    assert number >= 7
    consistent(vm)
    if running:
        vm.ok("quit", vm.name)
        consistent(vm)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_qemu_is_killed_while_it_writes_the_ram(
    busy: "Machine", share: float
) -> None:
    process = subprocess.Popen(
        [busy.home.executable, "snapshot", "create", busy.name, "s2", "-y"],
        env=busy.home.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until_written(busy, int(share * 160 * MIB))
        busy.kill()
        _, said = process.communicate(timeout=TIMEOUT_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 1, said
    assert "QEMU closed" in said
    for image in busy.images.values():
        check(image)
        assert tags(image) == {"before"}
    assert busy.state == "crashed"
    # Nothing stands in the way of the next one.
    busy.ok("start", busy.name)
    assert busy.holds(2)
    busy.snapshot("s2", "--yes")
    busy.ok("quit", busy.name)
    for image in busy.images.values():
        check(image)
        assert tags(image) == {"before", "s2"}
    subprocess.run(
        ["qemu-img", "snapshot", "-a", "before", busy.images["disk0"]],
        check=True,
    )
    assert busy.holds(1, "disk0")


@pytest.mark.parametrize("both", [False, True], ids=["program", "both"])
def test_they_are_killed_while_ram_is_written(
    busy: "Machine", both: bool
) -> None:
    """QEMU goes on with what it was told, and the next one finds it."""
    process = subprocess.Popen(
        [busy.home.executable, "snapshot", "create", busy.name, "s2", "-y"],
        env=busy.home.environment,
        stderr=subprocess.DEVNULL,
    )
    until_written(busy, 16 * MIB)
    process.kill()
    process.wait()
    if both:
        busy.kill()
    repaired = busy.ok("set", busy.name, "config.lock.timeout=30s")
    done = "finished it" if not both else "took it back"
    assert f"had been interrupted: {done}" in repaired.err
    if both:
        assert busy.state == "crashed"
    else:
        assert busy.state == "running"
        busy.ok("quit", busy.name)
    for image in busy.images.values():
        check(image)
        assert tags(image) == {"before"} | ({"s2"} if not both else set())


def test_ctrl_c_cancels_the_writing_of_ram_to_a_file(busy: "Machine") -> None:
    process = subprocess.Popen(
        [
            *(busy.home.executable, "snapshot", "create", busy.name, "e2"),
            *("--external", "--ram"),
        ],
        env=busy.home.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    ram = busy.paths.snapshot_ram("e2")
    end = time.monotonic() + TIMEOUT_S
    while not ram.exists() or ram.stat().st_size < 8 * MIB:
        assert time.monotonic() < end
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130, said
    assert not ram.exists()
    assert busy.state == "running"
    assert busy.files == {"disk0.qcow2", "disk1.qcow2"}
    assert [e.name for e in store.load(busy.paths).snapshots] == ["before"]
    assert busy.holds(2)


def test_two_at_the_same_time(vm: "Machine") -> None:
    """They take turns; neither loses anything."""
    vm.ok("start", vm.name)
    processes = [
        subprocess.Popen(
            [vm.home.executable, "snapshot", "create", vm.name, *words],
            env=vm.home.environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for words in (("a",), ("b", "--external"), ("c",), ("d", "--external"))
    ]
    for process in processes:
        _, said = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == 0, said
    tree = store.load(vm.paths)
    assert {each.name for each in tree.snapshots} == set("abcd")
    assert len(tree.line(tree.current)) == 4
    consistent(vm)
