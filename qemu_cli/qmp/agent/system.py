"""The guest as a whole: its system, its file systems, its end."""

import base64
import contextlib
from typing import NamedTuple

from qemu_cli.errors import ConnectionLostError, TimedOutError
from qemu_cli.qmp.agent.conversation import Conversation


class AgentInfo(NamedTuple):
    """``guest-info``."""

    version: str
    commands: frozenset[str]  # the enabled ones


class Interface(NamedTuple):
    """A network interface of the guest (``guest-network-get-interfaces``)."""

    name: str
    mac: str | None
    addresses: tuple[str, ...]  # with prefix length, as in 10.0.2.15/24


class System(NamedTuple):
    """``guest-get-osinfo``; empty is what the guest does not tell."""

    id: str  # as in os-release(5); mswindows
    name: str  # as it names itself
    version: str
    kernel: str
    machine: str


class User(NamedTuple):
    """Somebody who is logged in (``guest-get-users``)."""

    name: str
    domain: str | None  # of Windows
    login_time_s: float  # since the epoch


class FileSystem(NamedTuple):
    """A mounted file system (``guest-get-fsinfo``)."""

    mountpoint: str
    device: str
    type: str
    used_bytes: int | None
    total_bytes: int | None


class Guest(Conversation):
    """What the agent tells of the guest, and does to all of it."""

    async def info(self) -> AgentInfo:
        """Ask which commands the agent knows."""
        info = await self.execute("guest-info")
        return AgentInfo(
            info["version"],
            frozenset(
                command["name"]
                for command in info["supported_commands"]
                if command["enabled"]
            ),
        )

    async def shutdown(self, mode: str = "powerdown") -> None:
        """Ask the guest to end; it says nothing when it will.

        :param mode: ``powerdown``, ``reboot`` or ``halt``
        :raise RefusedError: the agent will not
        """
        # An error comes at once; silence and a lost connection are good.
        with contextlib.suppress(TimedOutError, ConnectionLostError):
            await self.execute("guest-shutdown", {"mode": mode}, timeout_s=1.0)

    async def freeze(self) -> int:
        """Make the file systems consistent, and hold all writes.

        :return: how many file systems
        """
        return int(await self.execute("guest-fsfreeze-freeze"))

    async def thaw(self) -> int:
        """Let the guest write again; 0: it was not frozen."""
        return int(await self.execute("guest-fsfreeze-thaw"))

    async def is_frozen(self) -> bool:
        """Tell whether the file systems are held."""
        return bool(await self.execute("guest-fsfreeze-status") == "frozen")

    async def trim(self) -> dict[str, int | str]:
        """Tell the disks what is free (fstrim(8)).

        :return: by mount point: how many bytes, or why not
        """
        done = await self.execute("guest-fstrim", timeout_s=None)
        return {
            path["path"]: path.get("error") or int(path.get("trimmed", 0))
            for path in done["paths"]
        }

    async def interfaces(self) -> list[Interface]:
        """List the guest's network interfaces."""
        return [
            Interface(
                one["name"],
                one.get("hardware-address"),
                tuple(
                    f"{address['ip-address']}/{address['prefix']}"
                    for address in one.get("ip-addresses", ())
                ),
            )
            for one in await self.execute("guest-network-get-interfaces")
        ]

    async def file_systems(self) -> list[FileSystem]:
        """List what is mounted and lies on a disk."""
        return [
            FileSystem(
                one["mountpoint"],
                one["name"],
                one["type"],
                one.get("used-bytes"),
                one.get("total-bytes"),
            )
            for one in await self.execute("guest-get-fsinfo")
        ]

    async def users(self) -> list[User]:
        """List who is logged in."""
        return [
            User(one["user"], one.get("domain"), one["login-time"])
            for one in await self.execute("guest-get-users")
        ]

    async def system(self) -> System:
        """Ask what the guest runs."""
        info = await self.execute("guest-get-osinfo")
        return System(
            str(info.get("id", "")),
            str(info.get("pretty-name") or info.get("name") or ""),
            str(info.get("version-id", "")),
            str(info.get("kernel-release", "")),
            str(info.get("machine", "")),
        )

    async def os_name(self) -> str:
        """Name the guest's operating system, as it names itself."""
        return (await self.system()).name

    async def host_name(self) -> str:
        """Ask what the guest calls itself."""
        return str((await self.execute("guest-get-host-name"))["host-name"])

    async def time_zone(self) -> tuple[str, int]:
        """Ask for the time zone's name and its seconds east of UTC."""
        zone = await self.execute("guest-get-timezone")
        return str(zone.get("zone", "")), int(zone["offset"])

    async def time_ns(self) -> int:
        """Read the guest's clock: nanoseconds since the epoch."""
        return int(await self.execute("guest-get-time"))

    async def set_time(self, time_ns: int | None = None) -> None:
        """Set the guest's clock.

        :param time_ns: since the epoch; None: from its hardware clock
        """
        arguments = None if time_ns is None else {"time": time_ns}
        await self.execute("guest-set-time", arguments)

    async def set_password(
        self, user: str, password: bytes, *, crypted: bool = False
    ) -> None:
        """Give a user of the guest another password.

        :param crypted: it is a hash, as in shadow(5)
        :raise RefusedError: there is no such user, or no chpasswd(8)
        """
        await self.execute(
            "guest-set-user-password",
            {
                "username": user,
                "password": base64.b64encode(password).decode("ascii"),
                "crypted": crypted,
            },
        )
