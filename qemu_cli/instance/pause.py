"""Stopping a guest's CPUs, and letting them run again.

Why CPUs stand still is QEMU's run state (QAPI RunState), and what has to
be done about it differs.
"""

from contextlib import suppress

from qemu_cli.errors import StateError, TimedOutError
from qemu_cli.instance import history
from qemu_cli.instance.change import attending
from qemu_cli.instance.host import Host
from qemu_cli.instance.inside import check_runs
from qemu_cli.instance.vm import VM
from qemu_cli.qmp.session import Session

#: Run states that only a reset ends.  In QEMU's code: runstate_needs_reset;
#: a guest whose kernel has panicked could go on, but only to its own halt.
NEEDS_RESET = {
    "guest-panicked": "the guest's kernel has panicked",
    "internal-error": "QEMU can't go on with the guest",
    "shutdown": "the guest has shut down",
}

#: How long a disk that failed may take to fail again.
_RETRY_S = 0.5


async def pause(host: Host, vm: VM) -> None:
    """Stop the guest's CPUs (QMP ``stop``); its memory stays.

    :raise StateError: it does not run, or is paused already
    """
    async with attending(host, vm) as now:
        check_answers(now)
        if now.state == "paused":
            raise StateError(f"'{vm.name}' is paused already{_why(now)}")
        async with host.sessions.open(now.monitors) as session:
            await session.execute("stop")
        history.note(vm.paths, "pause", command=host.who)


async def resume(host: Host, vm: VM) -> str:
    """Let the guest's CPUs run (QMP ``cont``, or ``system_wakeup``).

    :return: the run state that it was in
    :raise StateError: it runs already, or only a reset helps, or the disk
        that failed has failed again
    """
    async with attending(host, vm) as now:
        check_answers(now)
        async with host.sessions.open(now.monitors) as session:
            # Of one whose monitor was held, nothing is known before.
            status = await session.execute("query-status")
            was = str(status["status"])
            if was == "running":
                raise StateError(f"'{vm.name}' is running already")
            if was in NEEDS_RESET:
                raise StateError(
                    f"'{vm.name}' can't be resumed: "
                    f"{NEEDS_RESET[was]} ({was})",
                    hint=f"'qemu reset {vm.reference}' boots it again, "
                    f"'qemu quit {vm.reference}' ends it",
                )
            if was == "suspended":
                await session.execute("system_wakeup")
            elif was == "io-error":
                await _retry(session, vm.name)
            else:
                await session.execute("cont")
        history.note(vm.paths, "resume", command=host.who, was=was)
        return was


def check_answers(vm: VM) -> None:
    """Refuse what needs a QEMU that listens and is not busy.

    :raise StateError: it does not run, or is unresponsive or busy
    """
    check_runs(vm)
    if vm.state not in ("running", "paused"):
        raise StateError(
            f"'{vm.name}' is {vm.state}{_why(vm)}",
            hint=f"'qemu kill {vm.reference}' ends it"
            if vm.state == "unresponsive"
            else None,
        )


async def _retry(session: Session, name: str) -> None:
    """Go on after a disk error: the guest's request is done again."""
    async with session.listen("STOP") as events:
        await session.execute("cont")
        with suppress(TimedOutError):
            await events.get(_RETRY_S)
            raise StateError(
                f"'{name}' has stopped again: its disk still fails (io-error)",
                hint="is the host's disk full?  Make room and try again",
            )


def _why(vm: VM) -> str:
    return f": {vm.reason}" if vm.reason else ""
