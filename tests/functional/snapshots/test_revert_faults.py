"""snapshot revert fails half-way: no guest runs astray."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tests.functional.snapshots.reverting import meddled, revert

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.functional.snapshots.conftest import Machine


@contextlib.contextmanager
def overheard(vm: "Machine") -> Iterator[list[str]]:
    """All events of the QEMU that runs now, to its end."""
    heard: list[str] = []
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(vm.paths.follower_sockets[1]))
    stream = client.makefile("rw")
    stream.write('{"execute": "qmp_capabilities"}\n')
    stream.flush()

    def listen() -> None:
        with contextlib.suppress(OSError):
            for line in stream:
                message: dict[str, Any] = json.loads(line)
                if "event" in message:
                    heard.append(message["event"])

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield heard
    finally:
        client.shutdown(socket.SHUT_RDWR)
        thread.join(30)
        stream.close()
        client.close()


def test_what_fails_half_way_never_runs_on(
    machine: "Callable[..., Machine]",
) -> None:
    """A device without an id is gone: nobody sees that beforehand."""
    device = "virtio-rng-pci,rng=rng0,bus=rp5"
    vm = machine(
        *("--disk", "8M", "--disk", "8M,bus=scsi"),
        *("--qemu-arg=-device", f"--qemu-arg={device}"),
    )
    vm.ok("start", vm.name)
    vm.write(1)
    vm.snapshot("s1")
    vm.write(2)
    vm.qmp("device_del", id="/machine/peripheral-anon/device[0]")
    vm.qmp("system_reset")
    pid = vm.row()["pid"]
    with overheard(vm) as heard:
        done = vm.home(*revert(vm, "s1"))
    assert done.rc == 0, done.err
    assert "could not load it, and has ended" in done.err
    assert "a new one goes on" in done.err
    assert vm.row()["pid"] != pid
    # The old one was stopped for the load, and has ended so.
    assert "STOP" in heard
    assert "RESUME" not in heard[heard.index("STOP") :]
    assert vm.state == "running"
    assert vm.events().count("RESUME") == 1
    assert vm.holds(1)
    assert vm.current == "s1"


def test_no_qemu_can_load_it(vm: "Machine") -> None:
    """Another program made it, with a machine that nobody wrote down."""
    vm.ok("start", vm.name)
    vm.write(1)
    vm.qmp("human-monitor-command", **{"command-line": "savevm by-hand"})
    vm.write(2)
    vm.ok("set", vm.name, "machine.memory_mib=96")
    vm.ok("quit", vm.name)
    vm.ok("start", vm.name)
    with overheard(vm) as heard:
        failed = vm.home(*revert(vm, "by-hand"))
    assert failed.rc == 5, failed.err
    assert "the RAM of 'by-hand' can't be loaded" in failed.err
    assert "Size mismatch: pc.ram" in failed.err
    assert "'qemu start m0' boots from them" in failed.err
    assert "RESUME" not in heard
    assert "RESUME" not in vm.events()
    assert vm.state == "stopped"
    assert not vm.paths.journal.exists()
    assert vm.holds(1)
    vm.ok("set", vm.name, "machine.memory_mib=64")
    vm.revert("by-hand")
    assert vm.state == "running"
    assert vm.holds(1)


def test_what_is_refused_beforehand_changes_nothing(vm: "Machine") -> None:
    """The tag vanishes in the last moment: the guest runs on as before."""
    vm.ok("start", vm.name)
    vm.write(1)
    vm.snapshot("s1")
    vm.snapshot("s2")
    vm.write(2)
    pid = vm.row()["pid"]
    script = (
        f"{vm.home.executable} qmp {vm.name} human-monitor-command "
        "command-line='delvm s1'"
    )
    failed = meddled(vm, "LoadSnapshot", script, *revert(vm, "s1"))
    assert failed.returncode == 5, failed.stderr
    assert "does not exist in one or more devices" in failed.stderr
    assert vm.state == "running"
    assert vm.row()["pid"] == pid
    assert vm.holds(2)
    assert vm.current == "s2"
    again = vm.home(*revert(vm, "s1"))
    assert again.rc == 4
    assert "does not have the snapshot 's1' any more" in again.err
    assert vm.state == "running"
