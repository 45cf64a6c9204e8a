"""Commands that change one VM by a plan."""

import abc
import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from qemu_cli.columns import Named, Size
from qemu_cli.command.display import ShowOne

if TYPE_CHECKING:
    from qemu_cli.instance.host import Host
    from qemu_cli.instance.vm import VM
    from qemu_cli.steps import Plan


class Done(Protocol):
    """What a service has done, or would do."""

    @property
    def plan(self) -> "Plan":
        """The steps."""

    @property
    def text(self) -> str:
        """For people, such as ``disk1 added``."""

    @property
    def data(self) -> Mapping[str, Any]:
        """For programs."""


class Planned(ShowOne):
    """A command on one VM: says what it did, or would do.

    Success is a line on stderr; with ``-f`` what was done is on stdout.
    """

    #: Whether it asks before it destroys something.
    asks = False

    #: Why it is only for instances, a word of ``refusal.WHY``; None: VMs
    #: that somebody else started will do.
    instances_because: str | None = "definition"

    @abc.abstractmethod
    async def act(
        self, host: "Host", vm: "VM", args: argparse.Namespace
    ) -> Done:
        """Do it, or with ``args.dry_run`` only plan it."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the VM, ``--dry-run`` and ``--yes``."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="a VM")
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="only print what would be done",
        )
        if self.asks:
            parser.add_argument(
                "-y", "--yes", action="store_true", help="do not ask"
            )
        return parser

    def confirm(self, args: argparse.Namespace) -> Callable[[str], None]:
        """Return what asks the person; nobody is asked for a dry run."""

        def ask(question: str) -> None:
            if not args.dry_run:
                self.app.ui.confirm(question, args.yes)

        return ask

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Do it, and tell."""
        if parsed_args.formatter and not parsed_args.dry_run:
            return super().run(parsed_args)
        done = self._done(parsed_args)
        if not parsed_args.dry_run:
            self.app.ui.say(f"{parsed_args.name}: {done.text}")
            return 0
        for line in done.plan.describe():
            self.app.stdout.write(f"{line}\n")
        return 0

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        """Do it; the names and values are those of its data."""
        data = self._done(parsed_args).data
        return list(data), [
            Size(value) if name.endswith("_bytes") else _shown(value)
            for name, value in data.items()
        ]

    def _done(self, args: argparse.Namespace) -> Done:
        from qemu_cli.command import loop
        from qemu_cli.instance import resolve

        host, why = self.app.host, self.instances_because
        if why is None:
            vm = resolve.anyone(host, args.name)
        else:
            vm = resolve.resolve(
                host.paths, args.name, probe=host.probe, why=why
            )
        return loop.run(self.act(self.app.host_of(vm), vm, args))


def _shown(value: Any) -> Any:
    if isinstance(value, list):
        return Named(value, "\n".join(map(str, value)))
    return value


class PlannedDisk(Planned):
    """What changes one disk of one VM."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the disk."""
        parser = super().get_parser(prog_name)
        parser.add_argument("disk", metavar="DISK", help="such as disk0")
        return parser
