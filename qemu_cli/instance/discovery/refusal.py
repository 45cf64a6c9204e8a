"""Why a VM that somebody else started can't be talked to."""

from qemu_cli.errors import BusyError, QemuCliError, StateError
from qemu_cli.instance.discovery.foreign import Foreign

#: Programs that hold the monitor of each of their VMs for as long as it
#: runs, and what to use instead.
_MANAGERS = {
    "libvirt": "virsh",
    "incus": "incus",
    "lxd": "lxc",
    "multipass": "multipass",
}

_NEEDS = "QEMU needs '-qmp unix:PATH,server=on,wait=off'"


def refusal(foreign: Foreign, name: str) -> QemuCliError | None:
    """Return what to tell who wants to talk to it; None: he can try.

    Where a client may be about to leave, it is worth waiting for.
    """
    word, reason = foreign.access.word, foreign.access.reason
    if word == "free":
        return None
    if word == "held":
        tool = _MANAGERS.get(foreign.origin)
        if foreign.access.address and not tool:
            return None
        who = "another program"
        if foreign.holder and foreign.holder.argv:
            program = foreign.holder.argv[0].rpartition("/")[2]
            who = f"{program} (pid {foreign.holder.pid})"
        return BusyError(
            f"{who} holds the monitor of '{name}'"
            + (f": {reason}" if reason else ""),
            hint=f"{foreign.origin} keeps it while the VM runs: use '{tool}'"
            if tool
            else None,
        )
    if word == "hmp":
        return StateError(
            f"'{name}' has no QMP monitor, only {reason}", hint=_NEEDS
        )
    if word == "none":
        return StateError(f"'{name}' has no monitor: {reason}", hint=_NEEDS)
    return StateError(
        f"the monitor of '{name}' can't be reached: {reason}",
        hint=f"it is a process of {foreign.user}" if foreign.user else None,
    )
