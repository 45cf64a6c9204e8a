"""Which commands take a VM that somebody else started, and why not."""

import contextlib
import os
import select
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qemu_cli.proc import ProcFS
from tests.functional.by_hand import Foreign
from tests.functional.strangers import Stranger, exists, image
from tests.functional.until import until

Start = Callable[..., Stranger]

#: A start of this size takes a moment of an idle machine.
LARGE = "64M"

DEFINITION = "it has no definition"
LAYER = "changes the active layer"
MACHINE = "changes its machine"
IMAGES = "changes images below"
TREE = "have no tree here"
LOG = "it has no log"

REFUSED = (
    ("start", DEFINITION),
    ("save", DEFINITION),
    ("delete --yes", DEFINITION),
    ("set machine.cpus=2", DEFINITION),
    ("edit", DEFINITION),
    ("rename other", DEFINITION),
    ("clone other", DEFINITION),
    ("autostart enable", DEFINITION),
    ("autostart disable", DEFINITION),
    ("log", LOG),
    ("console", DEFINITION),
    ("guest thaw", DEFINITION),
    ("snapshot list --tree", TREE),
    ("snapshot rename s1 s2", TREE),
    ("snapshot diff s1", TREE),
    ("snapshot create --external", LAYER),
    ("disk move virtio0 other", LAYER),
    ("disk commit virtio0 --yes", LAYER),
    ("disk flatten virtio0 --yes", IMAGES),
    ("disk add 1M", MACHINE),
    ("disk remove virtio0 --yes", MACHINE),
    ("disk throttle virtio0 --off", MACHINE),
    ("cdrom insert b.qcow2", MACHINE),
    ("cdrom eject", MACHINE),
)

#: Words of a command before the VM's name.
NOUNS = ("autostart", "guest", "snapshot", "disk", "cdrom")


def with_name(command: str, ref: str) -> list[str]:
    words = command.split()
    place = 2 if words[0] in NOUNS else 1
    return [*words[:place], ref, *words[place:]]


def test_what_needs_a_definition_says_so(stranger: Start) -> None:
    vm = stranger(name=f"no one's {os.getpid()}")
    before = vm.json("disk", "list", vm.ref)
    for command, why in REFUSED:
        told = vm.refused(*with_name(command, vm.ref))
        assert why in told, command
        assert f"'no one's {os.getpid()}'" in told, command
        assert "hint: " in told, command
    assert vm.json("disk", "list", vm.ref) == before
    assert vm.status == "running"


#: What asks QEMU, in each family of commands.
ASKS = (
    *("pause", "resume", "reset", "reboot --timeout 1s", "quit"),
    *("screenshot x.png", "send-key a", "type a"),
    *("qmp query-status", "hmp info status"),
    *("disk list", "disk info virtio0", "disk resize virtio0 +1M"),
    *("snapshot list", "snapshot show s1", "snapshot create s1"),
    *("snapshot revert s1 --yes", "snapshot delete s1 --yes"),
    *("nbd-export --live",),
    *("job show", "job cancel", "job pause", "job dismiss"),
)

MORE_NOUNS = (*NOUNS, "job", "export")


def asking(command: str, ref: str) -> list[str]:
    words = command.split()
    place = 2 if words[0] in MORE_NOUNS else 1
    return [*words[:place], ref, *words[place:]]


@pytest.fixture
def holder() -> Iterator[Callable[[Path], None]]:
    """Hold a monitor, as another program does."""
    clients = []

    def hold(path: Path) -> None:
        client = socket.socket(socket.AF_UNIX)
        clients.append(client)
        client.connect(str(path))
        client.recv(1000)

    yield hold
    for client in clients:
        client.close()


def test_a_held_monitor_refuses_all_that_asks(
    stranger: Start, holder: Callable[[Path], None]
) -> None:
    vm = stranger()
    holder(vm.socket)
    until(lambda: ProcFS().monitor_use(vm.pid, str(vm.socket))[0])
    for command in ASKS:
        told = vm.refused(*asking(command, vm.ref), rc=6)
        assert f"(pid {os.getpid()})" in told, command
    # Nobody waits in its queue.
    assert ProcFS().monitor_use(vm.pid, str(vm.socket)) == (True, 0)
    warned = vm.ok("job", "list", vm.ref)
    assert f"(pid {os.getpid()})" in warned.err
    warned = vm.ok("export", "list", vm.ref)
    assert f"(pid {os.getpid()})" in warned.err
    assert vm.json("show", vm.ref)["state"] == "running"
    vm.ok("kill", vm.ref)
    assert not exists(vm.pid)


def test_one_that_is_far_away(stranger: Start) -> None:
    """A monitor whose process nobody sees; what needs files is refused."""
    vm = stranger()
    tunnel = vm.directory / "tunnel"
    with relayed(tunnel, vm.socket):
        ref = f"qmp:{tunnel}"
        rows = vm.json("disk", "list", ref)
        assert rows[0]["file"] == "a.qcow2"
        vm.ok("snapshot", "create", ref, "s1")
        told = vm.refused("nbd-export", ref, "--live")
        assert "is not on this host" in told
        words = ("snapshot", "create", ref, "--external", "--owner-knows")
        assert "is not on this host" in vm.refused(*words)
        vm.ok("pause", ref)
    assert vm.status == "paused"


@contextlib.contextmanager
def relayed(here: Path, there: Path) -> Iterator[None]:
    """Pass on what comes, one client after the other, as a tunnel does."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(here))
        server.listen()
        server.settimeout(0.1)
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                with contextlib.suppress(TimeoutError):
                    pass_on(server.accept()[0], there)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def pass_on(client: socket.socket, there: Path) -> None:
    with client, socket.socket(socket.AF_UNIX) as qemu:
        qemu.connect(str(there))
        ends = {client: qemu, qemu: client}
        while True:
            for end in select.select(ends, (), ())[0]:
                data = end.recv(1 << 16)
                if not data:
                    return
                ends[end].sendall(data)


def test_jobs(foreign: Foreign, stranger: Start) -> None:
    large = foreign.directory / "large.qcow2"
    image(large, LARGE)
    vm = stranger("-drive", "file=large.qcow2,if=virtio")
    vm.as_guest(f"write -P 1 0 {LARGE}", "virtio1")
    image(vm.directory / "copy.qcow2", LARGE)
    vm.ok(
        *("qmp", vm.ref, "drive-backup", "job-id=j", "device=virtio1"),
        *("target=copy.qcow2", "format=qcow2", "mode=existing"),
        *("sync=full", "speed=1000000"),
    )
    [row] = vm.json("job", "list", vm.ref)
    assert (row["id"], row["type"], row["status"]) == (
        *("j", "backup", "running"),
    )
    busy = vm.refused("snapshot", "create", vm.ref, "s1", rc=6)
    assert "jobs go on" in busy
    vm.ok("job", "pause", vm.ref)
    until(lambda: vm.json("job", "show", vm.ref)["status"] == "paused")
    vm.ok("job", "resume", vm.ref)
    waits = vm.home("job", "wait", vm.ref, "--timeout", "1s")
    assert waits.rc == 7, waits.err
    vm.ok("job", "cancel", vm.ref)
    assert vm.json("job", "list", vm.ref) == []
    assert "has no job" in vm.refused("job", "show", vm.ref, rc=3)


def watches(pid: int) -> bool:
    """Whether a command has found what it waits for."""
    try:
        opened = [
            file.readlink() for file in Path(f"/proc/{pid}/fd").iterdir()
        ]
    except FileNotFoundError:  # closed meanwhile
        return False
    return any("inotify" in str(file) for file in opened)


def test_waiting(stranger: Start) -> None:
    vm = stranger()
    vm.ok("wait", vm.ref, "--for", "running", "--timeout", "30s")
    late = vm.refused(
        "wait", vm.ref, "--for", "paused", "--timeout", "1s", rc=7
    )
    assert "not within 1 s" in late
    with subprocess.Popen(
        [vm.home.executable, "wait", vm.ref, "--for", "stopped"],
        env=vm.home.environment,
        stderr=subprocess.PIPE,
    ) as waits:
        until(lambda: watches(waits.pid))
        vm.ok("quit", vm.ref)
        assert waits.stderr is not None
        assert b"stopped" in waits.stderr.read()
        assert waits.wait(60) == 0


@pytest.mark.parametrize("condition", ["console:x", "event:RESET"])
def test_what_can_not_be_waited_for(stranger: Start, condition: str) -> None:
    vm = stranger()
    told = vm.refused(
        *("wait", vm.ref, "--for", condition, "--timeout", "30s")
    )
    assert "this program has not started it" in told
    told = vm.refused("events", vm.ref)
    assert "this program has not started it" in told


def test_an_agent_that_can_not_come(stranger: Start) -> None:
    vm = stranger()
    told = vm.refused("wait", vm.ref, "--for", "agent", "--timeout", "1h")
    assert "has no port for a guest agent" in told


def test_a_reboot_is_heard_on_the_one_monitor(stranger: Start) -> None:
    vm = stranger()
    done = vm.json("reboot", vm.ref, "--timeout", "60s")
    assert done[0]["result"]["by"] == "ctrl-alt-del"
    paused = vm.ok("pause", vm.ref)
    assert paused.rc == 0
    told = vm.refused("reboot", vm.ref, "--timeout", "1s")
    assert "is paused" in told


def test_its_screen(stranger: Start) -> None:
    vm = stranger("-vnc", "unix:vnc")
    uri = f"vnc+unix://{vm.directory}/vnc\n"
    assert vm.ok("view", vm.ref, "--print").out == uri
    picture = vm.directory / "x.png"
    vm.ok("screenshot", vm.ref, picture)
    assert picture.read_bytes().startswith(b"\x89PNG")
    vm.ok("quit", vm.ref)
    blind = stranger()
    told = blind.refused("view", blind.ref, "--print")
    assert "has no screen that a viewer could show" in told
    assert "qemu set" not in told
