"""QEMU as a process: brought up, and ended.

The monitors' sockets are bound and listened on by us and inherited by
QEMU, and one connection is made before exec: it can neither fail nor race.
What that connection answers to ``qmp_capabilities`` is readiness; the
greeting comes earlier, from a thread, while devices are still made.
"""

import asyncio
import contextlib
import os
import re
import select
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from qemu_cli.emulator import bridge
from qemu_cli.errors import (
    QemuCliError,
    RefusedError,
    StateError,
    TimedOutError,
)
from qemu_cli.instance import recorder
from qemu_cli.instance.failures import hint_for
from qemu_cli.instance.pid_file import read_pid
from qemu_cli.paths import InstancePaths
from qemu_cli.proc import Process, ProcFS
from qemu_cli.qmp.probe import Answer, Talk, Target
from qemu_cli.steps import Spawn, run_tool

#: How long a QEMU that is told to end may take, in seconds.
END_TIMEOUT_S = 5.0

_MONITOR = re.compile(r"socket,id=(\w+),path=(.*),server=on,wait=off")
_BRIDGE = re.compile(r"bridge,id=([^,]+),br=([^,]+)")


async def spawn(
    paths: InstancePaths, step: Spawn, *, timeout_s: float
) -> None:
    """Start QEMU; returns when its monitor has answered.

    :param step: the command line, with paths where QEMU gets descriptors
    :param timeout_s: until it has answered
    :raise RefusedError: QEMU ended; the message has its own words
    :raise TimedOutError: it did not answer, and is ended
    :raise StateError: somebody else listens on a socket of ours
    """
    process = None
    try:
        # A helper whose QEMU was killed may not have noticed.
        await _end_helpers(paths)
        for helper in step.helpers:
            await run_tool(helper)
        with contextlib.ExitStack() as stack:
            first = stack.enter_context(socket.socket(socket.AF_UNIX))
            with contextlib.ExitStack() as inherited:
                argv, listeners = _inherit(step.argv, inherited)
                first.connect(str(paths.probe_socket))
                fifo = recorder.prepare(paths)
                stack.callback(os.close, fifo)
                process, said = _execute(argv, listeners, paths.qemu_log)
            # QEMU alone has the listeners now: its end ends the connection.
            answer = await _ready(first, timeout_s)
            if answer.reach == "gone":
                raise _failed(process, paths.qemu_log, said)
            if answer.reach != "free":
                raise TimedOutError(
                    f"QEMU did not answer in {timeout_s:g} s",
                    hint="is the host overloaded?  "
                    "-c start.timeout=2m waits longer",
                )
            # It lives on without us: no warning when we forget about it.
            process.returncode = 0
    except BaseException:
        if process is not None:
            process.kill()  # it may have no pid file yet
            process.wait()
        await asyncio.shield(end(paths))
        raise


async def end(paths: InstancePaths) -> None:
    """Kill the QEMU and the helpers of an instance; remove their files.

    For a start that failed: nothing in the guest is worth a shutdown yet.
    """
    await _end_of(paths.pid_file)
    await _end_helpers(paths)
    remove_sockets(paths)


async def _end_helpers(paths: InstancePaths) -> None:
    await _end_of(paths.tpm_pid_file)
    for socket_path in paths.share_sockets():
        await _end_of(socket_path.with_suffix(".fs-pid"), socket_path)


async def _end_of(pid_file: Path, named: Path | None = None) -> None:
    process = running(pid_file, named)
    if process:
        await kill(process)
    pid_file.unlink(missing_ok=True)


def running(pid_file: Path, named: Path | None = None) -> Process | None:
    """Return the process that a pid file names, if it is still that one.

    It is when its own command line names the file.

    :param named: what it names instead
    """
    pid, _ = read_pid(pid_file)
    process = ProcFS().process(pid) if pid else None
    mark = str(named or pid_file)
    if process and any(mark in word for word in process.argv):
        return process
    return None


async def kill(process: Process) -> None:
    """End a process with SIGKILL and wait until it is gone."""
    procfs = ProcFS()
    with contextlib.suppress(QemuCliError):
        pidfd = procfs.open_pidfd(process)
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            await gone(pidfd, END_TIMEOUT_S)
        finally:
            os.close(pidfd)


async def gone(pidfd: int, timeout_s: float | None) -> bool:
    """Wait for a process to end; false: the time is over.

    :param pidfd: see pidfd_open(2); readable when the process has ended
    """
    if select.select([pidfd], [], [], 0)[0]:
        return True
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(pidfd, ended.set)
    try:
        async with asyncio.timeout(timeout_s):
            await ended.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(pidfd)
    return True


def remove_sockets(paths: InstancePaths) -> None:
    """Remove what a QEMU that has ended left in the runtime directory.

    What somebody listens on stays: it is another QEMU's.
    """
    listening = ProcFS().listening()
    with contextlib.suppress(OSError):
        for path in paths.runtime.iterdir():
            if path.is_socket() and str(path) not in listening:
                path.unlink(missing_ok=True)
    paths.events_in.unlink(missing_ok=True)


def _inherit(
    argv: Sequence[str], stack: contextlib.ExitStack
) -> tuple[list[str], list[int]]:
    """Open what QEMU is to inherit; put descriptors in place of paths."""
    words: list[str] = []
    inherited: list[int] = []
    for word in argv:
        if match := _MONITOR.fullmatch(word):
            path = match[2].replace(",,", ",")
            if match[1] in ("control", "probe", "follower1", "follower2"):
                listener = stack.enter_context(_listen(Path(path)))
                inherited.append(listener.fileno())
                word = (
                    f"socket,id={match[1]},fd={listener.fileno()},"
                    "server=on,wait=off"
                )
        elif match := _BRIDGE.fullmatch(word):
            tap = bridge.open_tap(match[2])
            stack.callback(os.close, tap)
            inherited.append(tap)
            word = f"tap,id={match[1]},fd={tap}"
        words.append(word)
    return words, inherited


def _listen(path: Path) -> socket.socket:
    """Bind and listen, in place of a socket that nobody listens on.

    :raise StateError: somebody does
    """
    if path.exists():
        with socket.socket(socket.AF_UNIX) as client:
            client.setblocking(False)
            try:
                client.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
            except BlockingIOError:
                raise _taken(path) from None
            else:
                raise _taken(path)
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(path))
        listener.listen(1)
    except OSError as error:
        listener.close()
        raise QemuCliError(f"can't listen on {path}: {error}") from error
    return listener


def _taken(path: Path) -> StateError:
    return StateError(
        f"another program listens on {path}",
        hint="'ss -xlp' names it",
    )


def _execute(
    argv: Sequence[str], inherited: Sequence[int], log: Path
) -> "tuple[subprocess.Popen[bytes], int]":
    """Start it; returns it, and where in the log its words begin."""
    with log.open("ab") as output:
        said = output.tell()
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=inherited,
                start_new_session=True,  # the terminal's end is not its end
            )
        except OSError as error:
            raise RefusedError(
                f"{argv[0]} can't be run: {error.strerror}"
            ) from error
    return process, said


async def _ready(first: socket.socket, timeout_s: float) -> Answer:
    loop = asyncio.get_running_loop()
    talk = Talk(Target("@first", sock=first))
    over = asyncio.Event()

    def listen() -> None:
        if not talk.read():
            over.set()

    if talk.connect():
        loop.add_reader(first, listen)
        try:
            async with asyncio.timeout(timeout_s):
                await over.wait()
        except TimeoutError:
            pass
        finally:
            loop.remove_reader(first)
    return talk.answer or talk.silence()


def _failed(
    process: "subprocess.Popen[bytes]", log: Path, said: int
) -> QemuCliError:
    """Say why QEMU did not come up, in its own words."""
    # It closes its monitor before it has ended, and may hang in between.
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(END_TIMEOUT_S)
    words = last_words(log, said) or f"exit code {process.returncode}"
    return RefusedError(f"QEMU did not start: {words}", hint=hint_for(words))


def last_words(log: Path, offset: int = 0) -> str:
    """Return QEMU's last messages, without its own name before each.

    :param offset: where in the log to begin, in bytes
    """
    try:
        with log.open("rb") as stream:
            stream.seek(offset)
            text = stream.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(
        re.sub(r"^\S*qemu-system-\S+: ", "", line)
        for line in text.splitlines()[-12:]
    )
