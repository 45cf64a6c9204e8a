"""A guest is frozen while something else is done on this host."""

import asyncio
from collections.abc import Sequence

from qemu_cli.errors import NotFoundError
from qemu_cli.instance.host import Host
from qemu_cli.instance.quiesce import quiesced
from qemu_cli.instance.vm import VM

#: A shell's exit code for a program that a signal ended.
_BY_SIGNAL = 128
#: A program that was told to end may take so long, in seconds.
_GRACE_S = 5.0


async def hold(host: Host, vm: VM, for_s: float | None) -> None:
    """Keep it frozen.

    :param for_s: None: until we are cancelled
    :raise StateError: the guest has no agent, or can't hear us
    """
    async with quiesced(host, vm) as count:
        how = "Ctrl-C thaws it" if for_s is None else f"for {for_s:g} s"
        host.say(f"{vm.name}: {count} file systems frozen; {how}")
        if for_s is None:
            await asyncio.Event().wait()
        else:
            await asyncio.sleep(for_s)
    host.say(f"{vm.name}: thawed")


async def while_it_runs(host: Host, vm: VM, argv: Sequence[str]) -> int:
    """Keep it frozen while a program of this host runs.

    :return: its exit code
    :raise StateError: the guest has no agent, or can't hear us
    :raise NotFoundError: there is no such program
    """
    async with quiesced(host, vm):
        try:
            process = await asyncio.create_subprocess_exec(*argv)
        except FileNotFoundError:
            raise NotFoundError(
                f"there is no program {argv[0]} on this host"
            ) from None
        try:
            code = await process.wait()
        except BaseException:
            process.terminate()
            try:
                async with asyncio.timeout(_GRACE_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
            raise
    return code if code >= 0 else _BY_SIGNAL - code
