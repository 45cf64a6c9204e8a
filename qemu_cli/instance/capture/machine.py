"""The board, its CPUs and its memory.  Pure."""

import re
from typing import Literal

from qemu_cli.instance.capture.draft import Draft
from qemu_cli.instance.capture.ground import Ground
from qemu_cli.instance.capture.words import Option, join
from qemu_cli.instance.model import Machine
from qemu_cli.units import parse_size

_TRUE = frozenset({"on", "yes", "true", "y"})
_MIB = 1 << 20
_DEFAULT_MIB = 128  # MachineClass.default_ram_size, of most boards

#: The CPU model of a board when none is said, where it is not qemu64.
_CPUS = {"i386": "qemu32", "aarch64": "cortex-a15", "arm": "cortex-a15"}

#: The board when none is said; there is none on other architectures.
_BOARDS = {"x86_64": "pc", "i386": "pc", "s390x": "s390-ccw-virtio",
           "ppc64": "pseries", "riscv64": "spike"}  # fmt: skip

_TOPOLOGY = frozenset({"sockets", "dies", "clusters", "cores", "threads"})

Accel = Literal["auto", "kvm", "tcg"]


def machine(draft: Draft, ground: Ground) -> Machine:
    """Take what the table ``machine`` of a definition says."""
    board, accels = _board(draft)
    accel = _accel(draft, ground, accels)
    cpus, max_cpus = _cpus(draft, ground)
    memory = _memory(draft, ground)
    return Machine(
        type=_type(draft, ground, board),
        accel=accel,
        cpu=_cpu(draft, ground, accel),
        cpus=cpus,
        max_cpus=max_cpus,
        memory_mib=memory["size"],
        max_memory_mib=memory.get("maxmem", 0),
        memory_slots=memory.get("slots", 0),
    )


def _board(draft: Draft) -> tuple[str, list[str]]:
    """The type and the accelerators that ``-machine`` names."""
    board, accels = "", list[str]()
    for option in draft.left("machine", "M"):
        rest = []
        for key, value in option.pairs:
            if key == "type":
                board = value
            elif key == "accel":
                accels = value.split(":")
            else:
                rest.append((key, value))
        if rest:
            draft.change(
                option,
                ("-machine", join(rest)),
                "the type and the accelerator have keys of their own",
            )
        else:
            draft.typed(option)
    return board, accels


def _type(draft: Draft, ground: Ground, board: str) -> str:
    if ground.live:
        return ground.live.machine
    board = board or _BOARDS.get(ground.arch, "none")
    versioned = ground.resolve(board)
    if versioned is None:
        draft.differs(
            f"the machine type {board}", "this host's QEMU does not know it"
        )
        return board
    if versioned != board:
        draft.differs(
            f"the machine type {board}",
            "QEMU was not asked: this is what it means to this host's QEMU",
            versioned,
        )
    return versioned


def _accel(draft: Draft, ground: Ground, accels: list[str]) -> Accel:
    for option in draft.left("accel"):
        pairs = option.pairs
        accels += [value for key, value in pairs if key == "accel"]
        if len(pairs) > 1:
            draft.drop(option, "only the accelerator's name is carried over")
        else:
            draft.typed(option)
    for option in draft.left("enable-kvm", "no-kvm"):
        accels.append("kvm" if option.name == "enable-kvm" else "tcg")
        draft.typed(option)
    if ground.live:
        return "kvm" if ground.live.kvm else "tcg"
    if len(accels) > 1:
        draft.differs(
            f"the accelerator {':'.join(accels)}",
            "which of them it got is not known: it is chosen anew",
            "auto",
        )
        return "auto"
    match accels:
        case [] | ["tcg"]:
            return "tcg"
        case ["kvm"]:
            return "kvm"
    draft.differs(
        f"the accelerator {accels[0]}", "a definition has none but kvm and tcg"
    )
    return "auto"


def _cpu(draft: Draft, ground: Ground, accel: Accel) -> str:
    model = ""
    for option in draft.left("cpu"):
        model = option.value or ""
        draft.typed(option)
    if model:
        return model
    if ground.live and ground.live.cpu:
        return ground.live.cpu
    if accel != "tcg" and ground.arch in ("aarch64", "arm"):
        return "host"
    return _CPUS.get(ground.arch, "qemu64")


def _cpus(draft: Draft, ground: Ground) -> tuple[int, int]:
    told: dict[str, str] = {}
    for option in draft.left("smp"):
        told |= dict(option.pairs)
        rest = [
            pair for pair in option.pairs if pair[0] not in ("cpus", "maxcpus")
        ]
        if rest:
            draft.change(
                option, ("-smp", join(rest)), "the number has its own key"
            )
        else:
            draft.typed(option)
    numbers = {
        key: int(value) for key, value in told.items() if value.isdecimal()
    }
    product = 1
    for key in _TOPOLOGY & numbers.keys():
        product *= numbers[key] or 1
    most = numbers.get("maxcpus", 0)
    cpus = numbers.get("cpus", 0)
    if not cpus:  # hw/core/machine-smp.c: each is worked out from the others
        cpus = most or product
    if not most:
        most = max(cpus, product)
    # A board without a CPU is started with one, as QEMU does itself.
    if ground.live and ground.live.cpus not in (cpus, 0):
        draft.differs(
            f"{cpus} CPUs at the start",
            "some have been plugged in or out since",
            str(ground.live.cpus),
        )
        cpus = ground.live.cpus
    return cpus, max(cpus, most)


def _memory(draft: Draft, ground: Ground) -> dict[str, int]:
    found = {"size": _DEFAULT_MIB}
    for option in draft.left("m"):
        for key, value in option.pairs:
            if key == "slots":
                found["slots"] = int(value)
            elif key in ("size", "maxmem"):
                found[key] = _mib(draft, option, value)
        draft.typed(option)
    if ground.live:
        size, rest = divmod(ground.live.memory_bytes, _MIB)
        if rest:
            draft.differs(
                f"{ground.live.memory_bytes} bytes of memory",
                "a definition has whole MiB",
                f"{size + 1}M",
            )
        found["size"] = size + bool(rest)
    if not found["size"]:
        draft.differs("no memory at all", "a definition has 1 MiB at least")
        found["size"] = 1
    return found


def _mib(draft: Draft, option: Option, text: str) -> int:
    """Turn a size into MiB; a bare number is MiB already."""
    if re.fullmatch(r"\d+", text):
        return int(text)
    size, rest = divmod(parse_size(text), _MIB)
    if rest:
        draft.differs(option.text, "a definition has whole MiB")
    return size + bool(rest)
