"""qemu guest info, ip, users, fs, trim, time: what a guest tells."""

import argparse
import datetime
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from qemu_cli.columns import Duration, Names, Size
from qemu_cli.command import Lister, Result, ShowOne, VMCommand

if TYPE_CHECKING:
    from qemu_cli.app import QemuApp
    from qemu_cli.instance.vm import VM
    from qemu_cli.qmp.agent import Agent
    from qemu_cli.qmp.session import Session

_T = TypeVar("_T")


def ask(
    app: "QemuApp", name: str, question: "Callable[[Agent], Awaitable[_T]]"
) -> _T:
    """Ask one guest's agent something."""
    from qemu_cli.command import loop
    from qemu_cli.instance import inside, resolve

    vm = resolve.anyone(app.host, name)

    async def talk() -> _T:
        async with inside.agent(app.host_of(vm), vm) as agent:
            return await question(agent)

    return loop.run(talk())


class GuestInfo(ShowOne):
    """Show what runs in a guest: system, kernel, agent."""

    examples = ("qemu guest info web", "qemu guest info web -f json")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="a VM")
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        async def question(agent: "Agent") -> tuple[Any, ...]:
            system, info = await agent.system(), await agent.info()
            zone, offset_s = await agent.time_zone()
            return (
                await agent.host_name(),
                *(system.name, system.id, system.version),
                *(system.kernel, system.machine),
                *(zone, offset_s),
                await agent.is_frozen(),
                info.version,
                Names(sorted(info.commands)),
            )

        names = (
            *("host_name", "system", "id", "version", "kernel", "machine"),
            *("time_zone", "utc_offset_s", "frozen"),
            *("agent_version", "agent_commands"),
        )
        return names, ask(self.app, parsed_args.name, question)


class _GuestLister(Lister):
    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="a VM")
        return parser


class GuestIp(_GuestLister):
    """List a guest's network interfaces and their addresses."""

    examples = ("qemu guest ip web", "qemu guest ip web -f json")

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], list[list[Any]]]:
        async def question(agent: "Agent") -> list[list[Any]]:
            return [
                [each.name, each.mac, Names(each.addresses)]
                for each in await agent.interfaces()
            ]

        names = ("name", "mac", "addresses")
        return names, ask(self.app, parsed_args.name, question)


class GuestUsers(_GuestLister):
    """List who is logged in to a guest."""

    examples = ("qemu guest users web",)

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], list[list[Any]]]:
        async def question(agent: "Agent") -> list[list[Any]]:
            return [
                [each.name, each.domain, _moment(each.login_time_s)]
                for each in await agent.users()
            ]

        names = ("name", "domain", "since")
        return names, ask(self.app, parsed_args.name, question)


class GuestFs(_GuestLister):
    """List a guest's mounted file systems, and how full they are."""

    examples = ("qemu guest fs web", "qemu guest fs web --sort -used_bytes")

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], list[list[Any]]]:
        async def question(agent: "Agent") -> list[list[Any]]:
            return [
                [
                    *(each.mountpoint, each.device, each.type),
                    *(Size(each.used_bytes), Size(each.total_bytes)),
                ]
                for each in await agent.file_systems()
            ]

        names = ("mountpoint", "device", "type", "used_bytes", "total_bytes")
        return names, ask(self.app, parsed_args.name, question)


class _AgentCommand(VMCommand):
    """A command on the agents of many VMs."""

    needs = frozenset({"definition", "process"})

    async def act(
        self, vm: "VM", session: "Session", args: argparse.Namespace
    ) -> Result:
        from qemu_cli.instance import inside

        async with inside.agent(self.app.host_of(vm), vm) as agent:
            return await self.do(agent, args)

    async def do(self, agent: "Agent", args: argparse.Namespace) -> Result:
        """Do it, with the agent."""
        raise AssertionError


class GuestTrim(_AgentCommand):
    """Have guests tell their disks what is free, so that images shrink.

    It does something for disks with discard=unmap.
    """

    examples = ("qemu guest trim web", "qemu guest trim --all")

    async def do(self, agent: "Agent", args: argparse.Namespace) -> Result:
        done = await agent.trim()
        sizes = {k: v for k, v in done.items() if isinstance(v, int)}
        texts = [
            f"{path}: {Size(size).human_readable()}"
            for path, size in sizes.items()
        ]
        texts += [f"{k}: {v}" for k, v in done.items() if k not in sizes]
        data = {
            "trimmed_bytes": sizes,
            "refused": {k: v for k, v in done.items() if k not in sizes},
        }
        return Result(", ".join(texts) or "nothing to trim", data)


class GuestTime(_AgentCommand):
    """Show how far guests' clocks are off, or set them.

    A guest that was paused, saved or restored is behind.
    """

    examples = ("qemu guest time web", "qemu guest time --all --set")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--set",
            action="store_true",
            help="set the guest's clock to this host's",
        )
        return parser

    async def do(self, agent: "Agent", args: argparse.Namespace) -> Result:
        import time

        if args.set:
            await agent.set_time(time.time_ns())
        before = time.time_ns()
        guest = await agent.time_ns()
        # The agent looked at its clock somewhere in between.
        off_s = (guest - (before + time.time_ns()) // 2) / 1e9
        away = Duration(abs(off_s)).human_readable()
        how = f"{away} {'ahead' if off_s > 0 else 'behind'}"
        if abs(off_s) < 1:
            how = "right"
        moment = _moment(guest / 1e9)
        data = {"time": moment, "off_s": round(off_s, 3), "set": args.set}
        return Result(f"{moment}, {how}", data)


def _moment(seconds: float) -> str:
    """A time, as in RFC 3339, in this host's time zone."""
    moment = datetime.datetime.fromtimestamp(int(seconds)).astimezone()
    return moment.isoformat(sep=" ")
