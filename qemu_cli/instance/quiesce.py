"""A guest whose file systems are held for a moment.

What programs have written is on its disks then, and nothing is under way.
A guest that stays frozen is as good as hung, so it is thawed whatever
happens: by us, or by a guardian when we are killed.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from qemu_cli.errors import QemuCliError, RefusedError, StateError
from qemu_cli.guardian import guarding
from qemu_cli.instance.host import Host
from qemu_cli.instance.inside import agent_is_there, check_can_hear
from qemu_cli.instance.vm import VM


@asynccontextmanager
async def quiesced(host: Host, vm: VM) -> AsyncIterator[int]:
    """Hold the guest's file systems for the length of the block.

    Yields how many there are.

    :raise StateError: the guest can't hear us, or has no agent
    :raise RefusedError: its agent can't freeze them
    """
    check_can_hear(vm)
    async with host.sessions.open(vm.monitors) as session:
        if not await agent_is_there(session):
            raise StateError(
                f"the file systems of '{vm.name}' can't be frozen: no guest "
                "agent runs in it",
                hint="install qemu-guest-agent in the guest, or do without "
                "--quiesce: as after a power cut then",
            )
    async with host.sessions.agent(vm.monitors) as agent:
        if await agent.is_frozen():
            raise StateError(
                f"the file systems of '{vm.name}' are frozen already: another "
                "program holds them, or has left them so",
                hint=f"'qemu guest thaw {vm.name}' lets it write again",
            )
    with guarding(["guest", "thaw", vm.name]) as guardian:
        guardian.arm()
        hopeless: tuple[type[QemuCliError], ...] = ()
        try:
            async with host.sessions.agent(vm.monitors) as agent:
                try:
                    count = await agent.freeze()
                except RefusedError:
                    # It has thawed what it froze so far, and may refuse
                    # that as well.
                    hopeless = (QemuCliError,)
                    raise
            yield count
        finally:
            # When this fails the guardian, who is still armed, tries it.
            with suppress(*hopeless):
                await asyncio.shield(_thaw(host, vm))
            guardian.disarm()


async def thaw(host: Host, vm: VM) -> int:
    """Let a guest write again, whoever froze it.

    :return: how many file systems were frozen
    :raise StateError: the guest can't hear us
    :raise TimedOutError: no agent answers
    """
    check_can_hear(vm)
    async with host.sessions.agent(vm.monitors) as agent:
        return await agent.thaw()


async def _thaw(host: Host, vm: VM) -> None:
    try:
        async with host.sessions.agent(vm.monitors) as agent:
            await agent.thaw()
    except QemuCliError as error:
        raise QemuCliError(
            f"'{vm.name}' may still be frozen: {error}",
            hint=f"qemu guest thaw {vm.name}",
        ) from error
