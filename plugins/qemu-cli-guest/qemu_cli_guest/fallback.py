"""ssh in the place of an agent that is not there.

What that needs is imported when it is needed: most guests have one.
"""

import asyncio
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from qemu_cli.errors import NotFoundError, QemuCliError, TimedOutError
from qemu_cli.instance.host import Host
from qemu_cli.instance.inside import NoAgentError
from qemu_cli.instance.vm import VM
from qemu_cli_guest import exec as through_agent
from qemu_cli_guest.agent.run import Program
from qemu_cli_guest.agent.stdio import Nothing, Sink, Source

if TYPE_CHECKING:
    from qemu_cli_guest.copy import Copied
    from qemu_cli_guest.ssh import Server

#: A server that is there greets sooner, in seconds.
_PATIENCE_S = 5.0


async def run(
    host: Host,
    vm: VM,
    program: Program,
    source: Source,
    out: Sink,
    err: Sink,
    *,
    timeout_s: float | None = None,
) -> int:
    """Run a program through the agent, or through ssh where there is none.

    :return: its exit code
    :raise NoAgentError: there is neither
    """
    try:
        return await through_agent.run(
            *(host, vm, program, source, out, err), timeout_s=timeout_s
        )
    except NoAgentError as error:
        server = await instead(host, vm, error)
    from qemu_cli_guest import ssh

    words = [*program.argv]
    if program.environment:
        words = ["env", *program.environment, *words]
    stdin = subprocess.DEVNULL if isinstance(source, Nothing) else None
    try:
        async with asyncio.timeout(timeout_s):
            return await ssh.run(server, words, stdin=stdin)
    except TimeoutError:
        raise TimedOutError(
            f"{program.argv[0]} did not end in {timeout_s:g} s"
        ) from None


async def instead(host: Host, vm: VM, error: NoAgentError) -> "Server":
    """Find an ssh server, and say that it is used.

    :raise NoAgentError: the one given: there is no server
    """
    from qemu_cli_guest import ssh

    try:
        server = await ssh.find(host, vm, ssh.Wish())
        await ssh.wait(server, _PATIENCE_S)
    except (NotFoundError, TimedOutError, QemuCliError):
        raise error from None
    host.say(f"{vm.name}: no guest agent answers; through ssh instead")
    return server


async def into_guest(
    host: Host, vm: VM, source: Path, to: str, *, checksum: bool
) -> "Copied":
    """Copy into a guest; see :func:`qemu_cli_guest.copy.into_guest`.

    :param checksum: ssh has one of its own, always
    """
    from qemu_cli_guest import copy

    try:
        return await copy.into_guest(host, vm, source, to, checksum=checksum)
    except NoAgentError as error:
        server = await instead(host, vm, error)
    from qemu_cli_guest import copy_ssh

    return await copy_ssh.into_guest(server, source, to)


async def out_of_guest(
    host: Host, vm: VM, source: str, to: Path, *, checksum: bool
) -> "Copied":
    """Copy out of a guest; see :func:`qemu_cli_guest.copy.out_of_guest`.

    :param checksum: ssh has one of its own, always
    """
    from qemu_cli_guest import copy

    try:
        return await copy.out_of_guest(host, vm, source, to, checksum=checksum)
    except NoAgentError as error:
        server = await instead(host, vm, error)
    from qemu_cli_guest import copy_ssh

    return await copy_ssh.out_of_guest(server, source, to)
