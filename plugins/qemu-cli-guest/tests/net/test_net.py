"""qemu net: cards, links, connections and captures."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

TIMEOUT_S = 60


@pytest.fixture(scope="module")
def running(make):
    return make("r", "--forward", "22", start=True)


def cards(vm):
    found = vm.ok("net list", "-f", "json").json
    return [(row["id"], row["backend"], row["link"]) for row in found]


def until(condition):
    end = time.monotonic() + TIMEOUT_S
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def filters(vm):
    """The captures that QEMU has, whoever began them."""
    said = vm.home("qmp", vm.name, "qom-list", "path=/objects").json
    return [each["name"] for each in said if "filter" in each["type"]]


def test_the_cards_of_all(make, running):
    make("stopped")
    make("lonely", nic="none", start=True)
    found = running.home("net", "list", "-f", "json").json
    by_vm = {row["vm"]: row for row in found}
    assert set(by_vm) >= {"r", "stopped"}
    assert "lonely" not in by_vm
    assert by_vm["r"]["model"] == "virtio-net-pci"
    assert by_vm["r"]["details"] == "net=10.0.2.0,restrict=off"
    assert by_vm["stopped"]["backend"] == "user"
    assert by_vm["stopped"]["model"] == "virtio-net-pci"
    assert by_vm["stopped"]["link"] is None
    shown = running.home("show", "r", "-f", "json").json
    assert by_vm["r"]["mac"] in str(shown)


def test_a_link_goes_down_and_up(running):
    assert cards(running) == [("net0", "user", "up")]
    assert (
        running.ok("net link", "down").err == "r: the link of net0 is down\n"
    )
    assert cards(running) == [("net0", "user", "down")]
    running.ok("net link", "net0", "down")  # it is already
    running.ok("net link", "net0", "up")
    assert cards(running) == [("net0", "user", "up")]
    said = running.refused(3, "net link", "nte0", "up")
    assert "did you mean net0?" in said
    running.refused(2, "net link", "sideways")


def test_the_next_start_has_all_links_up(make):
    vm = make("again", start=True)
    vm.ok("net link", "down")
    vm.ok("quit")
    assert cards(vm) == [("net0", "user", None)]
    vm.ok("start")
    assert cards(vm) == [("net0", "user", "up")]


def test_one_of_several_must_be_named(make):
    vm = make("two")
    vm.ok("device add", "virtio-net-pci")
    vm.ok("start")
    assert len(cards(vm)) == 2
    said = vm.refused(2, "net link", "down")
    assert "say which: net0, net1" in said
    vm.ok("net link", "net1", "down")
    assert cards(vm) == [("net0", "user", "up"), ("net1", "user", "down")]
    said = vm.refused(2, "net capture", "x.pcap")
    assert "say which: net0, net1" in said


def test_what_can_not_be(make):
    stopped = make("off")
    for command, *words in (
        ("net link", "down"),
        ("net connections",),
        ("net capture", "x.pcap"),
    ):
        assert "off" in stopped.refused(4, command, *words)
    bare = make("bare", nic="none", start=True)
    assert "no network card" in bare.refused(4, "net link", "down")
    assert "no network" in bare.refused(4, "net capture", "x.pcap")
    assert "no NIC" in bare.refused(4, "net connections")


#: The keys of ``-f json``, and what each is; only ever added to.
SCHEMAS = {
    "net list": {
        **dict.fromkeys(("vm", "id", "model", "mac", "netdev"), str),
        **dict.fromkeys(("backend", "details", "link"), str),
        "queues": int,
        "addresses": list,
    },
    "net connections": {
        **dict.fromkeys(("nic", "protocol", "state", "source"), str),
        "source_port": int,
        "target": str,
        "target_port": int,
        **dict.fromkeys(("receiving_bytes", "sending_bytes", "fd"), int),
    },
}


@pytest.mark.parametrize("command", SCHEMAS)
def test_what_programs_read(make, running, command):
    vms = [running]
    if command == "net list":
        vms.append(make("for-programs"))
    for vm in vms:
        (row,) = vm.ok(command, "-f", "json").json
        assert [*row] == [*SCHEMAS[command]]
        for key, kind in SCHEMAS[command].items():
            can_be_unknown = vm is not running and key in ("details", "link")
            assert isinstance(row[key], kind) or (
                can_be_unknown and row[key] is None
            ), key


def test_the_descriptor_is_that_of_the_socket(running):
    (row,) = running.ok("net connections", "-f", "json").json
    pid = int(running.paths.pid_file.read_text())
    link = Path(f"/proc/{pid}/fd/{row['fd']}").readlink()
    assert str(link).startswith("socket:")


def test_connections(running):
    def rows():
        found = running.ok("net connections", "-f", "json").json
        return [(r["protocol"], r["state"], r["target_port"]) for r in found]

    assert rows() == [("tcp", "HOST_FORWARD", 22)]
    found = running.ok("net connections", "-f", "json").json
    port = found[0]["source_port"]
    with socket.create_connection(("127.0.0.1", port)):
        # Nobody answers in this machine: the stack waits for a SYN, ACK.
        until(lambda: ("tcp", "SYN_SENT", 22) in rows())


def test_a_capture_that_ends_by_itself(running, tmp_path):
    file = tmp_path / "x.pcap"
    said = running.ok("net capture", file, "--for", "300ms").err
    assert "r: its time is over" in said and "captured in" in said
    assert file.stat().st_mode & 0o777 == 0o600
    read = subprocess.run(
        ["tcpdump", "-n", "-r", file], capture_output=True, text=True
    )
    assert read.returncode == 0, read.stderr
    assert "link-type EN10MB" in read.stderr
    said = running.refused(2, "net capture", file)
    assert "--force overwrites it" in said
    running.ok("net capture", file, "--force", "--for", "100ms")
    running.ok(
        "net capture", tmp_path / "y", "--max-size", "10", "--for", "60s"
    )
    said = running.refused(4, "net capture", tmp_path / "no/x")
    assert "No such file" in said
    os.mkfifo(tmp_path / "pipe")
    running.refused(2, "net capture", tmp_path / "pipe", "--force")
    assert filters(running) == []


def test_what_is_captured_can_be_read_as_it_comes(running):
    capture = begin(running, "-", stdout=subprocess.PIPE)
    header = capture.stdout.read(24)
    assert header[:4] == bytes.fromhex("d4c3b2a1")
    found = running.ok("net connections", "-f", "json").json
    with socket.create_connection(("127.0.0.1", found[0]["source_port"])):
        # The stack asks who has the guest's address.
        assert capture.stdout.read(16)
    capture.send_signal(signal.SIGINT)
    assert end(capture) == 0
    assert filters(running) == []
    assert not list(running.paths.runtime.glob("*.pcap"))


def begin(vm, *words, netdev="net0", config="lock.timeout=10s", **options):
    """Start a capture; returns when it has begun."""
    process = subprocess.Popen(
        [
            *(vm.home.executable, "-c", config),
            *("net", "capture", vm.name, *words),
        ],
        env=vm.home.environment,
        stderr=subprocess.PIPE,
        **options,
    )
    assert f"capturing at {netdev}".encode() in process.stderr.readline()
    return process


def end(process):
    """How it ends."""
    with process:
        process.communicate(timeout=TIMEOUT_S)
    return process.returncode


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_capture_that_is_ended(running, tmp_path, number):
    process = begin(running, tmp_path / "x")
    assert len(filters(running)) == 1
    process.send_signal(number)
    assert end(process) == (0 if number == signal.SIGINT else 143)
    assert filters(running) == []


def test_a_capture_that_is_killed_leaves_nothing_in_qemu(running, tmp_path):
    process = begin(running, tmp_path / "x")
    process.kill()
    end(process)
    until(lambda: filters(running) == [])  # the guardian


def test_a_capture_ends_with_its_vm(make, tmp_path):
    vm = make("ends", start=True)
    process = begin(vm, tmp_path / "x")
    vm.ok("kill")
    assert end(process) == 0


def test_a_vm_that_somebody_else_started(home, real_qemu, tmp_path):
    options = ("-netdev", "user,id=theirs", "-device", "e1000,netdev=theirs")
    qemu = real_qemu("-machine", "pc", "-S", "-m", "32M", *options)
    vm = f"qmp:{qemu.addresses[0]}"
    (card,) = home("net", "list", vm, "-f", "json").json
    assert (card["model"], card["netdev"]) == ("e1000", "theirs")
    assert home("net", "link", vm, "down").rc == 0
    (card,) = home("net", "list", vm, "-f", "json").json
    assert card["link"] == "down"
    done = home("net", "capture", vm, tmp_path / "x", "--for", "100ms")
    assert done.rc == 0, done.err


def test_cards_and_backends_on_a_hub(home, real_qemu):
    options = ("-net", "nic,model=e1000", "-net", "user")
    qemu = real_qemu("-machine", "pc", "-S", "-m", "32M", *options)
    vm = f"qmp:{qemu.addresses[0]}"
    (card,) = home("net", "list", vm, "-f", "json").json
    assert (card["model"], card["backend"]) == ("e1000", "user")
    assert card["mac"].startswith("52:54:00")


def as_user(name):
    """How a QEMU is told whom to run as: ``-runas`` is gone since 10.0."""
    program = os.environ.get("QEMU_CLI_TEST_QEMU", "qemu-system-x86_64")
    argv = [program, "-help"]
    said = subprocess.run(argv, capture_output=True, text=True, check=True)
    if "\n-runas" in said.stdout:
        return ("-runas", name)
    return ("-run-with", f"user={name}")


def test_what_qemu_can_not_write_is_found_out_before(
    home, real_qemu, tmp_path
):
    """A ``filter-dump`` that can't be made closes QEMU's descriptor 0."""
    options = ("-netdev", "user,id=n", "-device", "e1000,netdev=n")
    nobody = as_user("nobody")
    qemu = real_qemu("-machine", "pc", "-S", "-m", "32M", *options, *nobody)
    vm = f"pid:{qemu.pid}"
    stdin = Path(f"/proc/{qemu.pid}/fd/0")
    before = stdin.readlink()
    file = tmp_path / "x"
    for words in ([file], [file], ["-"], [file, "--force"]):
        done = home("net", "capture", vm, *words, "--for", "100ms")
        assert done.rc == 5, done.err
        assert ", which runs as nobody, can't write" in done.err
        assert not file.exists()
    assert stdin.readlink() == before
    assert [*home.paths.runtime.rglob("*.pcap")] == []
    chardevs = home("qmp", vm, "query-chardev").json
    assert not [each for each in chardevs if "capture" in each["label"]]


@pytest.fixture
def foreign(named, real_qemu):
    """One with a single monitor, that another program may hold."""
    options = ("-netdev", "user,id=n", "-device", "e1000,netdev=n")
    qemu = real_qemu("-machine", "pc", "-S", "-m", "32M", *options)

    @contextlib.contextmanager
    def held():
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(qemu.addresses[0])
            client.recv(4096)
            yield

    return named(f"pid:{qemu.pid}"), held


#: The patience with a monitor that another program holds.
PATIENCE = "lock.timeout=300ms"


def test_a_monitor_that_is_held(foreign, tmp_path):
    vm, held = foreign
    with held():
        for command, *words in (
            ("connections",),
            ("link", "down"),
            ("capture", tmp_path / "x"),
        ):
            said = vm.refused(6, f"-c {PATIENCE} net {command}", *words)
            assert "holds" in said and "end that one first" in said
        assert "holds" in vm.ok(f"-c {PATIENCE} net list").err
    assert not (tmp_path / "x").exists()


def test_the_guardian_ends_what_we_could_not(foreign, tmp_path):
    vm, held = foreign
    words = (tmp_path / "x", "--for", "500ms")
    process = begin(vm, *words, netdev="n", config=PATIENCE)
    with held():
        _, said = process.communicate(timeout=TIMEOUT_S)
    assert b"QEMU may still capture" in said
    until(lambda: filters(vm) == [])


def test_what_was_read_of_a_stream_takes_no_room(running):
    capture = begin(running, "-", stdout=subprocess.PIPE)
    capture.stdout.read(24)
    (file,) = running.paths.runtime.glob("*.pcap")
    with file.open("ab") as stream:
        stream.write(bytes(2 << 20))  # as QEMU would
    assert len(capture.stdout.read(2 << 20)) == 2 << 20
    until(lambda: file.stat().st_blocks < 64)
    capture.send_signal(signal.SIGINT)
    assert end(capture) == 0
