"""Does KVM really work here?  A guest of 512 bytes says so.

/dev/kvm can exist and initialise, and yet run a guest fifty times slower
than TCG, or end QEMU with an assertion: both are seen where the host is
itself a VM.  Only running a guest tells.
"""

import asyncio
import os
from pathlib import Path
from typing import NamedTuple

from qemu_cli.emulator.bare_qemu import BARE, bare_qemu, child, last_words
from qemu_cli.emulator.boot_sector import (
    BOOT_SECTOR,
    EXIT_PORT,
    EXIT_STATUS,
)
from qemu_cli.errors import TimedOutError, ToolError

#: KVM may take so many times as long as TCG, which is slow itself.
_FACTOR = 5
_ROUNDS = 2

#: No run may take longer than that, and KVM may take as long when TCG
#: does not work: there is no comparison then.
_LIMIT_S = 10.0

CPU_MODELS = {"kvm": "host", "tcg": "max"}


class Run(NamedTuple):
    """A run of the boot sector; ``seconds`` is None when it failed."""

    seconds: float | None
    problem: str


async def kvm_problem(binary: Path, arch: str) -> str | None:
    """Find out what is wrong with KVM for this binary, None if nothing.

    TCG and KVM run the boot sector in turn; KVM is rejected only when it
    fails or is too slow twice: the host may be busy.  Takes 0.2 s where
    KVM works, and never more than 40 s.
    """
    if arch not in ("x86_64", "i386"):
        return await _initialisation_problem(binary)
    problem = None
    for _ in range(_ROUNDS):
        tcg = await run(binary, "tcg", limit_s=_LIMIT_S)
        if tcg.seconds is None:
            limit_s, than = _LIMIT_S, ""
        else:
            limit_s = min(_FACTOR * tcg.seconds, _LIMIT_S)
            than = f"; TCG needs {tcg.seconds:.2f} s"
        kvm = await run(binary, "kvm", limit_s=limit_s)
        if kvm.seconds is not None:
            return None
        problem = f"{kvm.problem}{than}"
    return problem


async def run(
    binary: Path, accel: str, *, limit_s: float, cpu: str | None = None
) -> Run:
    """Run the boot sector once, from the start of QEMU to its end.

    :param limit_s: then QEMU is killed, and the run has failed
    :param cpu: by default the model that goes with the accelerator
    """
    sector = os.memfd_create("boot-sector")
    try:
        os.write(sector, BOOT_SECTOR)
        argv = (
            *(str(binary), "-machine", "pc", "-accel", accel, *BARE),
            *("-cpu", cpu or CPU_MODELS[accel], "-m", "16", "-no-reboot"),
            *("-boot", "order=c,strict=on"),
            *("-drive", f"file=/dev/fd/{sector},format=raw,if=ide"),
            "-device",
            f"isa-debug-exit,iobase={EXIT_PORT:#x},iosize=4",
        )
        return await _timed(argv, sector, accel, limit_s)
    except ToolError as error:
        return Run(None, str(error))
    finally:
        os.close(sector)


async def _timed(
    argv: tuple[str, ...], sector: int, accel: str, limit_s: float
) -> Run:
    clock = asyncio.get_running_loop().time
    start_s = clock()
    try:
        async with (
            child(*argv, pass_fds=(sector,)) as process,
            asyncio.timeout(limit_s),
        ):
            status = await process.wait()
            seconds = clock() - start_s
            if status == EXIT_STATUS:
                return Run(seconds, "")
            words = await last_words(process) or f"exit code {status}"
    except TimeoutError:
        return Run(
            None,
            f"{accel.upper()} does not run 512 bytes of code"
            f" in {limit_s:.2f} s",
        )
    return Run(None, f"QEMU fails with {accel.upper()}: {words}")


async def _initialisation_problem(binary: Path) -> str | None:
    """Only start a QEMU with KVM: there is no boot sector for this CPU."""
    try:
        async with bare_qemu(binary, "-accel", "kvm"):
            return None
    except (ToolError, TimedOutError) as error:
        return str(error)
