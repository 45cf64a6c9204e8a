"""probe and session against a real QEMU, in good and bad moments."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qemu_cli.errors import (
    BusyError,
    ConnectionLostError,
    RefusedError,
    StateError,
)
from qemu_cli.proc import ProcFS
from qemu_cli.qmp.address import Monitors
from qemu_cli.qmp.probe import Target, probe
from qemu_cli.qmp.sessions import Sessions
from qemu_cli.testing.real_qemu import RealQemu, binary

PATIENCE_S = 60.0


def reach(qemu, timeout_s=PATIENCE_S, number=0):
    [answer] = probe([Target(qemu.addresses[number], qemu.pid)], timeout_s)
    return answer.reach


def run(qemu, work, **options):
    async def main():
        options.setdefault("lock_timeout_s", 0.2)
        async with Sessions(**options).open(qemu.monitors) as session:
            return await work(session)

    return asyncio.run(main())


def stopped(qemu):
    """Stop the process, and return when it has stopped."""
    os.kill(qemu.pid, signal.SIGSTOP)
    while not ProcFS().process(qemu.pid).stopped:
        time.sleep(0.001)


def test_probe(real_qemu):
    qemu = real_qemu()
    [answer] = probe([Target(qemu.addresses[0], qemu.pid)], PATIENCE_S)
    assert (answer.reach, answer.run_state) == ("free", "running")
    text = subprocess.check_output([binary(), "--version"], text=True)
    assert "version {}.{}.{}".format(*answer.version) in text


def test_probe_finds_a_paused_vm_and_one_that_waits_for_migration(real_qemu):
    paused = real_qemu("-machine", "none", "-S")
    incoming = real_qemu("-machine", "none", "-incoming", "defer")
    targets = [Target(one.addresses[0]) for one in (paused, incoming)]
    states = [answer.run_state for answer in probe(targets, PATIENCE_S)]
    assert states == ["prelaunch", "inmigrate"]


def test_probe_at_a_held_monitor_and_a_full_queue(real_qemu):
    qemu = real_qemu()
    clients = [socket.socket(socket.AF_UNIX) for _ in range(3)]
    try:
        clients[0].connect(qemu.addresses[0])
        clients[0].recv(1)
        assert reach(qemu, 0.2) == "busy"
        for client in clients[1:]:
            client.setblocking(False)
        # Whoever gave up keeps a place: the queue may be full already.
        answers = [one.connect_ex(qemu.addresses[0]) for one in clients[1:]]
        assert answers[-1] != 0
        assert reach(qemu) == "busy"
    finally:
        for client in clients:
            client.close()
    while reach(qemu) != "free":
        time.sleep(0.01)


def test_probe_at_a_stopped_process(real_qemu):
    qemu = real_qemu()
    stopped(qemu)
    assert reach(qemu, 0.2) == "busy"
    os.kill(qemu.pid, signal.SIGCONT)
    assert reach(qemu) == "free"


def test_probe_at_a_stale_socket(real_qemu):
    qemu = real_qemu()
    qemu.process.kill()
    qemu.process.wait()
    assert Path(qemu.addresses[0]).is_socket()
    assert reach(qemu) == "gone"


def spawn_with_socket(directory, *args):
    """Start QEMU on a socket that is connected before exec."""
    path = str(directory / "s")
    client = socket.socket(socket.AF_UNIX)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(1)
        client.connect(path)
        fd = listener.fileno()
        process = subprocess.Popen(
            [
                binary(),
                *(
                    "-machine",
                    "none",
                    "-nodefaults",
                    "-display",
                    "none",
                    *args,
                ),
                *("-chardev", f"socket,id=m,fd={fd},server=on,wait=off"),
                *("-mon", "chardev=m,mode=control"),
            ],
            pass_fds=[fd],
            stderr=subprocess.DEVNULL,
        )
    return process, client, path


def test_probe_is_the_readiness_check(short_dir):
    process, client, path = spawn_with_socket(short_dir)
    with process:
        try:
            target = Target(path, sock=client)
            [answer] = probe([target], PATIENCE_S)
            assert answer.reach == "free"
            [again] = probe([Target(path, process.pid)], PATIENCE_S)
            assert again.reach == "free"
        finally:
            process.kill()


def test_probe_sees_a_failed_start(short_dir):
    # It greets before it looks at the devices.
    process, client, path = spawn_with_socket(short_dir, "-device", "nosuch")
    with process:
        [answer] = probe([Target(path, sock=client)], PATIENCE_S)
        assert answer.reach == "gone"
        assert process.wait(PATIENCE_S) == 1


def test_50_vms_at_once(short_dir):
    qemus = []
    try:
        for number in range(50):
            directory = short_dir / f"{number}"
            directory.mkdir()
            qemus.append(RealQemu(directory))
        for qemu in qemus:
            qemu.wait_ready()
        stopped(qemus[7])
        targets = [Target(qemu.addresses[0], qemu.pid) for qemu in qemus]
        answers = probe(targets, 5.0)
        others = {one.reach for one in answers[:7] + answers[8:]}
        assert others == {"free"}
        assert answers[7].reach == "busy"
        pids = {one.pid for one in qemus}
        pattern = re.compile("qemu-system-.*")
        found = {one.pid for one in ProcFS().processes(pattern)}
        assert pids <= found
    finally:
        for qemu in qemus:
            qemu.__exit__()


def test_session_names_who_holds_a_monitor(real_qemu):
    qemu = real_qemu()
    client = (
        "import socket, sys, time; s = socket.socket(socket.AF_UNIX);"
        "s.connect(sys.argv[1]); s.recv(1); print(flush=True);"
        "time.sleep(1000)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", client, qemu.addresses[0]],
        stdout=subprocess.PIPE,
    ) as other:
        try:
            other.stdout.readline()
            with pytest.raises(BusyError, match=f"pid {other.pid}"):
                run(qemu, lambda session: session.execute("query-status"))
        finally:
            other.kill()
    reply = run(
        qemu,
        lambda session: session.execute("query-status"),
        lock_timeout_s=PATIENCE_S,
    )
    assert reply["status"] == "running"


def test_session_at_a_stopped_process(real_qemu):
    qemu = real_qemu()
    stopped(qemu)
    with pytest.raises(StateError, match="stopped"):
        run(qemu, lambda session: session.execute("query-status"))
    os.kill(qemu.pid, signal.SIGCONT)


def test_session_when_qemu_is_killed_in_the_middle(real_qemu, short_dir):
    qemu = real_qemu("-machine", "pc", "-m", "16")
    fifo = short_dir / "fifo"
    os.mkfifo(fifo)  # nobody reads it: QEMU's main loop waits for that

    async def work(session):
        async with session.exchange():
            asyncio.get_running_loop().call_later(0.2, qemu.process.kill)
            arguments = {"val": 0, "size": 1024, "filename": str(fifo)}
            await session.execute("pmemsave", arguments)

    with pytest.raises(ConnectionLostError):
        run(qemu, work)
    qemu.process.wait(PATIENCE_S)
    with pytest.raises(StateError, match="ended"):
        run(qemu, lambda session: session.execute("query-status"))


def test_a_stuck_main_loop(real_qemu, short_dir):
    qemu = real_qemu("-machine", "pc", "-m", "16", monitors=2)
    fifo = short_dir / "fifo"
    os.mkfifo(fifo)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(qemu.addresses[0])
        client.sendall(
            b'{"execute": "qmp_capabilities"}'
            b'{"execute": "pmemsave", "arguments": {"val": 0, "size": 1024,'
            b'"filename": "%s"}}' % os.fsencode(fifo)
        )
        while reach(qemu, 0.3, number=1) != "stuck":
            time.sleep(0.01)
        with fifo.open("rb") as reader:
            reader.read()
        while reach(qemu, number=1) != "free":
            time.sleep(0.01)


def test_session_quit(real_qemu):
    qemu = real_qemu(monitors=4)

    async def work(session):
        async with session.listen("SHUTDOWN") as events:
            await session.execute("quit")
            event = await events.get(PATIENCE_S)
            assert event.data["reason"] == "host-qmp-quit"
            with pytest.raises(ConnectionLostError):
                await events.get(PATIENCE_S)

    run(qemu, work)
    assert qemu.process.wait(PATIENCE_S) == 0


def test_session_passes_a_file_descriptor(real_qemu, tmp_path):
    qemu = real_qemu("-machine", "pc", "-m", "16", monitors=4)
    target = tmp_path / "ram"

    async def work(session):
        await session.execute("stop")
        with target.open("wb") as file:
            # Two exchanges: the monitor keeps it between them.
            await session.execute("getfd", {"fdname": "f"}, fd=file.fileno())
        await session.execute("migrate", {"uri": "fd:f"})
        while True:
            state = await session.execute("query-migrate")
            if state["status"] == "completed":
                return
            await asyncio.sleep(0.05)

    run(qemu, lambda session: asyncio.wait_for(work(session), PATIENCE_S))
    assert target.stat().st_size > 10_000


def test_two_commands_on_one_vm_take_turns(real_qemu):
    qemu = real_qemu(monitors=4)

    async def main():
        sessions = Sessions(lock_timeout_s=PATIENCE_S)

        async def work():
            async with sessions.open(qemu.monitors) as session:
                for _ in range(10):
                    await session.execute("query-status")

        await asyncio.gather(*(work() for _ in range(5)))

    asyncio.run(main())


def test_human(real_qemu):
    qemu = real_qemu()
    text = run(qemu, lambda session: session.human("info status"))
    assert text.startswith("VM status: running")
    for line in ("nosuch", "hostfwd_add x", "x", "device_del nosuch"):
        with pytest.raises(RefusedError, match=line):
            run(qemu, lambda session, line=line: session.human(line))


def test_tcp(real_qemu):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    listen = f"tcp:{address},server=on,wait=off"
    qemu = real_qemu("-machine", "none", "-qmp", listen)
    [answer] = probe([Target(address, qemu.pid)], PATIENCE_S)
    assert answer.reach == "free"

    async def main():
        monitors = Monitors(control=address, pid=qemu.pid)
        async with Sessions().open(monitors) as session:
            return await session.execute("query-status")

    assert asyncio.run(main())["status"] == "running"
