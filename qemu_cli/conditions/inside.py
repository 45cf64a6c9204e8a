"""``job:ID``, ``agent`` and ``port:N``: what goes on in a running VM."""

import asyncio
import contextlib

from qemu_cli.conditions import Condition
from qemu_cli.errors import NotFoundError, QemuCliError, UsageError
from qemu_cli.instance import watched
from qemu_cli.instance.host import Host
from qemu_cli.instance.inside import agent_is_there, check_has_port
from qemu_cli.instance.vm import VM
from qemu_cli.qmp import jobs

#: QEMU's user network accepts before the guest has; a port of the guest
#: where nobody listens is closed by then.
_OPEN_S = 0.5
_AGAIN_S = 0.2


class Job(Condition):
    """A job of this id has ended; one that failed is an error."""

    takes = "the id of a job, see 'qemu job list'"

    async def hold(self, host: Host, vm: VM) -> str:
        async with host.sessions.open(vm.monitors) as session:
            await jobs.await_end(session, self.argument)
        return f"{self.argument} has ended"


class Agent(Condition):
    """The guest agent answers."""

    async def hold(self, host: Host, vm: VM) -> str:
        now = await watched.alive(host, vm)
        check_has_port(now)
        async with (
            host.sessions.open(now.monitors) as session,
            session.listen("VSERPORT_CHANGE") as listener,
        ):
            while not await agent_is_there(session):
                await listener.get()
        async with host.sessions.agent(now.monitors):
            return "the guest agent answers"


class Port(Condition):
    """A port of the guest, forwarded from the host, is served.

    That is, it has sent something or is still open after half a second.
    """

    takes = "a port of the guest, such as port:22"

    def __init__(self, argument: str | None) -> None:
        super().__init__(argument)
        if not (self.argument.isascii() and self.argument.isdigit()):
            raise UsageError(f"'{argument}' is no port")
        self._port = int(self.argument)

    async def hold(self, host: Host, vm: VM) -> str:
        for forward in vm.definition.forwards:
            if forward.guest_port == self._port and forward.protocol == "tcp":
                break
        else:
            raise NotFoundError(
                f"no port of the host leads to port {self._port} of "
                f"'{vm.name}'",
                hint=f"qemu set {vm.name} forward=:{self._port}",
            )
        await watched.alive(host, vm)
        address, port = forward.host_address, forward.host_port
        address = "127.0.0.1" if address == "0.0.0.0" else address  # noqa: S104
        # Nobody tells when a guest begins to listen.
        while not await _served(address, port):  # noqa: ASYNC110
            await asyncio.sleep(_AGAIN_S)
        return f"{address}:{port} is served"


async def _served(address: str, port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection(address, port)
    except OSError:
        return False
    try:
        async with asyncio.timeout(_OPEN_S):
            return bool(await reader.read(1))
    except TimeoutError:
        return True  # a protocol in which the client speaks first
    except OSError:
        return False
    finally:
        writer.close()
        with contextlib.suppress(OSError, QemuCliError):
            await writer.wait_closed()
