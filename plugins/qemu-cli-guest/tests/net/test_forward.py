"""qemu forward: at once, and at each start."""

import os
import socket

import pytest


@pytest.fixture(scope="module")
def running(make):
    return make("r", start=True)


def rows(vm):
    found = vm.ok("forward list", "-f", "json").json
    return [
        (row["protocol"], row["host_port"], row["guest_port"], row["problem"])
        for row in found
    ]


def add(vm, forward, *options):
    """Add one; the port of the host."""
    said = vm.ok("forward add", forward, "-f", "json", *options).json
    return said["host_port"]


def listens(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_a_port_is_chosen_told_and_listened_on_at_once(running):
    before = rows(running)
    said = running.ok("forward add", "0:22").err
    port = int(said.split("127.0.0.1:")[1].split()[0])
    assert said == f"r: forwards 127.0.0.1:{port} → 22\n"
    assert listens(port)
    assert rows(running) == [*before, ("tcp", port, 22, None)]
    running.ok("forward remove", f"{port}:22")
    assert not listens(port)
    assert rows(running) == before


def test_it_is_saved_and_there_after_a_start(make):
    vm = make("s")
    port = add(vm, "22")
    udp = add(vm, "53/udp")
    expected = [("tcp", port, 22, None), ("udp", udp, 53, None)]
    assert rows(vm) == expected and not listens(port)
    vm.ok("start")
    assert rows(vm) == expected and listens(port)
    vm.ok("forward remove", "22")
    vm.ok("quit")
    vm.ok("start")
    assert rows(vm) == expected[1:] and not listens(port)


def test_a_saved_state_does_not_care(make):
    vm = make("saved", start=True)
    vm.ok("save")
    port = add(vm, "22")
    assert "where it was saved" in vm.ok("start").err
    assert listens(port)


def test_next_start_leaves_what_runs_as_it_is(running):
    port = add(running, "80", "--next-start")
    waiting = ("tcp", port, 80, "from the next start on")
    assert waiting in rows(running) and not listens(port)
    running.ok("forward remove", "80")
    assert waiting not in rows(running)
    port = add(running, "80")
    running.ok("forward remove", "80", "--next-start")
    assert listens(port)
    gone = ("tcp", port, 80, "until it ends: not in the definition")
    assert gone in rows(running)
    running.ok("forward remove", "80")
    assert not listens(port)


def test_a_clash_names_the_instance(make, running):
    port = add(make("other"), "22")
    said = running.refused(4, "forward add", f"{port}:22")
    assert f"the host port {port} belongs to instance 'other'" in said
    assert add(running, f"{port}:22/udp") == port  # another protocol
    running.ok("forward remove", f"{port}:22/udp")


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_clash_names_the_program(running, listener, kind, address):
    port = listener(kind, address)
    protocol = "tcp" if kind == socket.SOCK_STREAM else "udp"
    before = rows(running)
    forward = f"{port}:22/{protocol}"
    said = running.refused(4, "forward add", forward)
    assert f"(pid {os.getpid()}) listens on 127.0.0.1:{port}" in said
    assert rows(running) == before


def test_a_dry_run_changes_nothing(running):
    before = rows(running)
    said = running.ok("forward add", "24680:22", "--dry-run").out
    assert "hmp hostfwd_add net0 tcp:127.0.0.1:24680-:22" in said
    assert rows(running) == before


def test_what_is_not_there_or_not_clear(make, running):
    vm = make("n", nic="none")
    assert "no NIC in a user network" in vm.refused(4, "forward add", "22")
    said = running.refused(3, "forward remove", "4711")
    assert "'r' has no such forward" in said
    said = running.refused(3, "forward add", "22", "--nic", "eth0")
    assert "it has net0" in said
    said = running.refused(2, "forward add", "9.9.9.9:2222:22")
    assert "9.9.9.9:2222/tcp can't be forwarded" in said
    first, second = add(running, "80"), add(running, "80")
    said = running.refused(2, "forward remove", "80")
    assert f"say which: 127.0.0.1:{first}:80 or 127.0.0.1:{second}:80" in said
    for port in (first, second):
        running.ok("forward remove", f"{port}:80")


def test_a_nic_that_comes_with_the_next_start(make):
    vm = make("late", nic="none", start=True)
    vm.ok("device add", "virtio-net-pci", "--next-start")
    said = vm.refused(4, "forward add", "22")
    assert "runs without the NIC net0" in said
    port = add(vm, "22", "--next-start")
    vm.ok("quit")
    vm.ok("start")
    assert listens(port)


def test_a_vm_that_somebody_else_started(home, real_qemu):
    netdev = ("-netdev", "user,id=theirs", "-device", "e1000,netdev=theirs")
    qemu = real_qemu("-machine", "pc", "-S", "-m", "32M", *netdev)
    vm = f"qmp:{qemu.addresses[0]}"
    result = home("forward", "add", vm, "22", "-f", "json")
    assert result.rc == 0, result.err
    port = result.json["host_port"]
    assert listens(port)
    shown = home("forward", "list", vm, "-f", "json").json
    assert [(row["nic"], row["host_port"]) for row in shown] == [
        ("theirs", port)
    ]
    assert home("forward", "add", vm, "22", "--next-start").rc == 2
    assert home("forward", "remove", vm, "22").rc == 0
    assert not listens(port)
