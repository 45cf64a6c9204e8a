"""Why something can't be done to a VM that somebody else started."""

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

_HOW = "'qemu show {0}' shows how it was started: change it there"

_LAYER = (
    "this changes the active layer of its disks, and its next start would "
    "use the wrong file"
)

#: Why a command is for instances only, and what to do instead.
WHY = {
    "definition": ("it has no definition", _HOW),
    "overlay": (
        _LAYER,
        "take an internal one, without --external; or with --owner-knows, "
        "and start it from the files that this prints",
    ),
    "layer": (
        _LAYER,
        "'qemu disk list {0}' shows the files; change them while it is off",
    ),
    "machine": (
        "this changes its machine, and its next start would not know",
        _HOW,
    ),
    "images": (
        "this changes images below its active layer, which others may need",
        "'qemu disk list {0}' shows the files; change them while it is off",
    ),
    "tree": (
        "its snapshots have no tree here, only names inside of its images",
        "'qemu snapshot list {0}' shows those",
    ),
}


#: What HMP is enough for.
_BY_HMP = (
    "show, pause, resume, reset, shutdown, quit, kill, screenshot, view, "
    "send-key, type, hmp"
)


def only_hmp(foreign: Foreign, name: str) -> StateError:
    """Say that it has no QMP monitor, and what works all the same."""
    reachable = foreign.access.address is not None
    return StateError(
        f"'{name}' has no QMP monitor, only {foreign.access.reason}",
        hint=f"these work: {_BY_HMP}; for all others {_NEEDS}"
        if reachable
        else _NEEDS,
    )


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
        return only_hmp(foreign, name)
    if word == "none":
        return StateError(f"'{name}' has no monitor: {reason}", hint=_NEEDS)
    return StateError(
        f"the monitor of '{name}' can't be reached: {reason}",
        hint=f"it is a process of {foreign.user}" if foreign.user else None,
    )


def not_ours(
    foreign: Foreign, name: str, reference: str, why: str
) -> StateError:
    """Say what can't be done to a VM that has no definition.

    :param reference: what it can always be called by
    :param why: one of :data:`WHY`
    """
    tool = _MANAGERS.get(foreign.origin)
    reason, hint = WHY[why]
    return StateError(
        f"'{name}' is no instance of yours: {reason}",
        hint=f"it belongs to {foreign.origin}: use '{tool}'"
        if tool
        else hint.format(reference),
    )
