"""Commands that do something to one or many VMs."""

import abc
import argparse
import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from qemu_cli import settings
from qemu_cli.columns import Named
from qemu_cli.command.display import Tabular
from qemu_cli.errors import QemuCliError, StateError, UsageError

if TYPE_CHECKING:
    from qemu_cli.instance.vm import VM
    from qemu_cli.qmp.session import Session


class Result(NamedTuple):
    """How it went with one VM.

    :param text: for people, such as ``started (pid 4711)``
    :param data: for programs; empty when the text says it all
    """

    text: str
    data: Mapping[str, Any] = {}


class Row(NamedTuple):
    """One line of the outcome."""

    name: str
    result: Result | None
    code: int
    error: QemuCliError | None


class VMCommand(Tabular):
    """A command on VMs, which works on several at the same time.

    A subclass says what it :attr:`needs` and has :meth:`act`.  A failure
    with one VM never stops the others; the exit code is the one that all
    failures share, else 1.
    """

    #: ``definition``: it must be an instance of ours; ``process``: it must
    #: run; ``qmp``: :meth:`act` gets a session on its control monitor.
    needs: frozenset[str] = frozenset()

    #: One VM after the other, in the order of :meth:`select`.
    in_turn = False

    @abc.abstractmethod
    async def act(
        self, vm: "VM", session: "Session", args: argparse.Namespace
    ) -> Result:
        """Do it to one VM.

        :param session: only if ``needs`` has ``qmp``, else None
        :raise QemuCliError: it failed
        """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the ways to say which VMs."""
        parser = super().get_parser(prog_name)
        group = parser.add_argument_group("which VMs")
        group.add_argument(
            "names",
            metavar="NAME",
            nargs="*",
            help="a VM, or pid:N, qmp:ADDRESS, ORIGIN:NAME; * and ? match "
            "names of your instances",
        )
        group.add_argument(
            "--all", action="store_true", help="all your instances"
        )
        group.add_argument(
            "--state",
            action="append",
            default=[],
            metavar="STATE",
            help="only those in this state (repeatable)",
        )
        return parser

    def select(self, args: argparse.Namespace) -> Sequence["VM"]:
        """The VMs that the command line names.

        :raise UsageError: it names none
        """
        if not args.names and not args.all:
            raise UsageError(
                "no VM named", hint="name one, or say --all for all"
            )
        if args.names and args.all:
            raise UsageError("either names or --all, not both")
        from qemu_cli.instance import resolve

        return resolve.select(
            self.app.paths,
            args.names,
            probe=functools.partial(
                self.app.qmp.probe,
                timeout_s=self.app.config[settings.PROBE_TIMEOUT],
            ),
            every=args.all,
            states=tuple(args.state),
            strangers=None if args.all else self.app.host.strangers,
        )

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Do it to all VMs named, and tell how it went."""
        # A misspelt format must not be found out after the deed.
        formatter = self.formatter(parsed_args)
        vms = self.select(parsed_args)
        rows = self._outcome(vms, parsed_args)
        failures = [row.error for row in rows if row.error]
        if parsed_args.formatter is None and len(rows) == 1:
            if failures:
                raise failures[0]
            if rows[0].result and rows[0].result.text:
                self.app.ui.say(f"{rows[0].name}: {rows[0].result.text}")
            return 0
        if parsed_args.formatter is None and not any(map(_tells, rows)):
            return 0  # as after --dry-run
        self.print_rows(
            formatter,
            parsed_args,
            ("name", "result", "code", "error"),
            [_cells(row) for row in rows],
        )
        for hint in dict.fromkeys(e.hint for e in failures if e.hint):
            self.app.ui.hint(hint)
        codes = {row.code for row in rows if row.error}
        if len(codes) > 1:
            return 1
        return codes.pop() if codes else 0

    def _outcome(
        self, vms: Sequence["VM"], args: argparse.Namespace
    ) -> list[Row]:
        from qemu_cli.command import loop

        async def everyone() -> list[Row]:
            import asyncio

            parallel = self.app.config[settings.JOBS_PARALLEL]
            room = asyncio.Semaphore(1 if self.in_turn else parallel)

            async def one(vm: "VM") -> Row:
                async with room:
                    return await self._row(vm, args)

            return await asyncio.gather(*map(one, vms))

        return loop.run(everyone())

    async def _row(self, vm: "VM", args: argparse.Namespace) -> Row:
        try:
            self._check(vm)
            if "qmp" in self.needs:
                sessions = self.app.host_of(vm).sessions
                async with sessions.open(vm.monitors) as session:
                    result = await self.act(vm, session, args)
            else:
                result = await self.act(vm, None, args)  # type: ignore[arg-type]
        except QemuCliError as error:
            return Row(vm.name, None, error.exit_code, error)
        except Exception as error:
            self.app.log.debug("%s", vm.name, exc_info=True)
            wrapped = self.app.internal_error(error)
            return Row(vm.name, None, wrapped.exit_code, wrapped)
        return Row(vm.name, result, 0, None)

    def _check(self, vm: "VM") -> None:
        if "definition" in self.needs and vm.foreign:
            from qemu_cli.instance.vm import no_instance

            raise no_instance(vm)
        if self.needs & {"process", "qmp"} and not vm.alive:
            raise StateError(f"'{vm.name}' does not run: it is {vm.state}")


def _tells(row: Row) -> bool:
    return row.result is None or bool(row.result.text)


def _cells(row: Row) -> tuple[Any, ...]:
    if row.result is None:
        return row.name, None, row.code, str(row.error)
    text, data = row.result
    shown = Named(data, text) if data else text
    return row.name, shown, row.code, None
