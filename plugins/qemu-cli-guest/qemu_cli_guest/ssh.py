"""Where a guest's ssh server is, and how to get in.

Its host key is kept beside the instance and is its own: VMs come and go
on the same port, and the user's known_hosts would complain of each.
"""

import asyncio
import contextlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from qemu_cli.errors import (
    NotFoundError,
    QemuCliError,
    StateError,
    TimedOutError,
    ToolError,
    UsageError,
)
from qemu_cli.instance import facts, inside
from qemu_cli.instance.host import Host
from qemu_cli.instance.net.addresses import addresses
from qemu_cli.instance.vm import VM

PORT = 22
#: ssh(1): it exits with the command's code, or 255 if an error occurred.
SSH_FAILED = 255
#: How often a server that does not answer yet is tried again, in seconds.
_AGAIN_S = 0.3
#: A server greets first (RFC 4253, 4.2), in seconds.
_GREETING_S = 5.0


class Wish(NamedTuple):
    """What the user says; None: what the instance has, or ssh's own."""

    user: str | None = None
    key: Path | None = None


class Server(NamedTuple):
    """A guest's ssh server.

    :param alias: what its host key is kept under
    :param known_hosts: where that is kept
    """

    alias: str
    host: str
    port: int
    known_hosts: Path
    user: str | None = None
    key: Path | None = None

    @property
    def options(self) -> dict[str, str]:
        """Options of ssh_config(5)."""
        options = {
            "HostName": self.host,
            "Port": str(self.port),
            "HostKeyAlias": self.alias,
            "UserKnownHostsFile": _path(self.known_hosts),
            "StrictHostKeyChecking": "accept-new",
            "LogLevel": "ERROR",  # else it tells of each new key
        }
        if self.user:
            options["User"] = self.user
        if self.key:
            options |= {
                "IdentityFile": _path(self.key),
                "IdentitiesOnly": "yes",
            }
        return options

    def argv(self, command: Sequence[str] = (), *more: str) -> list[str]:
        """The command line of ssh(1).

        :param more: its own options
        :raise ToolError: there is no ssh
        """
        program = shutil.which("ssh")
        if program is None:
            raise ToolError(
                "there is no ssh on this host",
                hint="apt install openssh-client",
            )
        options = [
            f"-o{name}={_quoted(value)}"
            for name, value in self.options.items()
        ]
        return [program, *options, *more, self.alias, "--", *command]


async def find(host: Host, vm: VM, wish: Wish) -> Server:
    """Find out where the server is; nobody is asked whether it answers.

    :raise StateError: the VM does not run
    :raise NotFoundError: no port of the host leads to it, and no address
        of the guest is known
    """
    inside.check_can_hear(vm)
    table: Mapping[str, Any] = {}
    if not vm.foreign:
        table = vm.definition.plugin.get("guest", {})
    key = wish.key or table.get("ssh_key")
    address, port = await _place(host, vm, table.get("ssh_port", PORT))
    return Server(
        alias=vm.name,
        host=address,
        port=port,
        known_hosts=vm.paths.directory / "known_hosts",
        user=wish.user or table.get("ssh_user"),
        key=Path(key).expanduser() if key else None,
    )


async def wait(server: Server, timeout_s: float) -> None:
    """Wait until the server greets.

    :raise TimedOutError: it does not
    """
    try:
        async with asyncio.timeout(timeout_s):
            while not await _greets(server):  # noqa: ASYNC110
                await asyncio.sleep(_AGAIN_S)
    except TimeoutError:
        raise TimedOutError(
            f"no ssh server answers in '{server.alias}' at "
            f"{server.host}:{server.port} after {timeout_s:g} s",
            hint="does the guest have one, and has it booted? "
            f"'qemu console {server.alias}' shows",
        ) from None


async def _place(host: Host, vm: VM, port: int) -> tuple[str, int]:
    assert vm.process is not None  # noqa: S101
    for forward in facts.from_argv(vm.process.argv).forwards:
        if forward.guest_port == port and forward.protocol == "tcp":
            address = forward.host_address
            everywhere = ("", "0.0.0.0")  # noqa: S104
            return (
                "127.0.0.1" if address in everywhere else address,
                forward.host_port,
            )
    if not vm.foreign and any(n.backend != "user" for n in vm.definition.nics):
        with contextlib.suppress(StateError, TimedOutError):
            async with inside.agent(host, vm) as agent:
                if found := addresses(await agent.interfaces()):
                    return found[0], port
    raise NotFoundError(
        f"no port of this host leads to port {port} of '{vm.name}'",
        hint=f"qemu set {vm.name} forward=:{port}, and start it again",
    )


async def _greets(server: Server) -> bool:
    try:
        async with asyncio.timeout(_GREETING_S):
            reader, writer = await asyncio.open_connection(
                server.host, server.port
            )
            try:
                return (await reader.read(4)).startswith(b"SSH-")
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


def check(table: Mapping[str, Any]) -> list[str]:
    """What is wrong with ``[plugin.guest]``."""
    known: dict[str, type] = {"ssh_user": str, "ssh_key": str, "ssh_port": int}
    return [
        f"[plugin.guest]: {name} must be "
        f"{'a number' if kind is int else 'a text'}"
        for name, kind in known.items()
        if name in table and type(table[name]) is not kind
    ]


def config(server: Server) -> str:
    """A block for ~/.ssh/config.

    :raise UsageError: a path can't be written there
    """
    lines = [f"Host {server.alias}"]
    for name, value in server.options.items():
        lines.append(f"    {name} {_quoted(value)}")
    return "\n".join(lines) + "\n"


def _path(path: Path) -> str:
    """A path, of which ssh is to expand nothing."""
    return str(path).replace("%", "%%")


def _quoted(value: str) -> str:
    """A value of an option, as ssh_config(5) wants it.

    :raise UsageError: it can't be written there
    """
    if '"' in value or "\n" in value:
        raise UsageError(f"{value}: can't stand in an ssh_config")
    return f'"{value}"' if " " in value else value


async def run(
    server: Server, command: Sequence[str], *, stdin: int | None = None
) -> int:
    """Run a command there; no terminal, and nobody is asked.

    :param command: each word arrives as it is
    :return: its exit code
    :raise QemuCliError: ssh itself failed
    """
    import shlex

    argv = server.argv([shlex.join(command)], "-T", "-oBatchMode=yes")
    process = await asyncio.create_subprocess_exec(*argv, stdin=stdin)
    try:
        code = await process.wait()
    except BaseException:
        process.terminate()
        await process.wait()
        raise
    if code == SSH_FAILED:
        raise QemuCliError(f"ssh to '{server.alias}' failed, or was told so")
    return code if code >= 0 else 128 - code
