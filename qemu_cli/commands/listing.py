"""qemu list."""

import argparse
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from qemu_cli import settings
from qemu_cli.columns import Duration, Named, Size, State
from qemu_cli.command import Lister
from qemu_cli.command.asked import column_values
from qemu_cli.command.display import Table, require_column
from qemu_cli.instance import facts as machine_facts
from qemu_cli.instance import resolve
from qemu_cli.instance.facts import Cache, Facts
from qemu_cli.instance.host import Host
from qemu_cli.instance.vm import VM
from qemu_cli.proc import ProcFS

_MIB = 1 << 20


class List(Lister):
    """Show all VMs on this host, yours first, one row each.

    Those that others started are found too, by whatever program; their
    'origin' says which, and 'monitor' whether they can be talked to.  A
    broken VM is a row with the reason.  What a running VM's machine looks
    like is read from its command line, not from its definition.
    """

    examples = (
        "qemu list",
        "qemu list --state running -f json",
        "qemu list --origin ours --origin libvirt",
        "qemu list --filter memory_mib '>=' 2G --filter name '~' '^web'",
        "qemu list 'web*' --columns name,state,forwards --sort -uptime_s",
    )
    table_columns: tuple[str, ...] = (
        "name",
        "state",
        "reason",
        "cpus",
        "memory_mib",
        "uptime_s",
        "forwards",
    )
    #: Shown when there are VMs that others started.
    foreign_columns = ("origin", "monitor")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "names",
            nargs="*",
            metavar="NAME",
            help="only these; * and ? match names of your instances",
        )
        parser.add_argument(
            "-q",
            "--quiet",
            action="store_true",
            help="names of your instances only; with --origin, references",
        )
        parser.add_argument(
            "--origin",
            action="append",
            default=[],
            metavar="ORIGIN",
            help="only those: ours, hand, libvirt … (repeatable)",
        )
        parser.add_argument(
            "--all-kinds",
            action="store_true",
            help="qemu-storage-daemon and qemu-nbd as well",
        )
        parser.add_argument(
            "--state",
            action="append",
            default=[],
            metavar="STATE",
            help="only those in this state (repeatable)",
        )
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        if parsed_args.quiet:
            for vm in self._named(parsed_args):
                if parsed_args.origin or parsed_args.names or not vm.foreign:
                    self.app.stdout.write(f"{vm.reference}\n")
            return 0
        return super().run(parsed_args)

    def take_action(self, parsed_args: argparse.Namespace) -> Table:
        return self._table(self._vms(parsed_args), parsed_args)

    def _named(self, args: argparse.Namespace) -> Iterable[VM]:
        """Those whose names are asked for, in order."""
        vms = self._vms(args)
        if not (args.filters or args.sort):
            return vms
        names, rows = self._table(vms, args)
        known = [[*row, vm] for vm, row in zip(vms, rows, strict=True)]
        return [row[-1] for row in self.arranged(args, names, known)]

    def _table(
        self, vms: Sequence[VM], parsed_args: argparse.Namespace
    ) -> Table:
        host = self.app.host
        cache = Cache(host.paths.definitions_cache)
        procfs = ProcFS()
        rows = [_row(vm, cache, procfs) for vm in vms]
        if any(vm.foreign for vm in vms):
            self.table_columns += self.foreign_columns
        if not (parsed_args.names or parsed_args.state or parsed_args.origin):
            cache.save({str(vm.paths.definition): vm for vm in vms})
        extra = self.extra_columns(parsed_args)
        for name, column in extra.items():
            values = column_values(self.app, column, vms)
            for value, row in zip(values, rows, strict=True):
                row[name] = value
        names = [*_COLUMNS, *extra]
        return names, [[row[name] for name in names] for row in rows]

    def _vms(self, args: argparse.Namespace) -> Sequence[VM]:
        host, origins = self.app.host, args.origin

        def strangers(procfs: ProcFS) -> list[VM]:
            return [
                vm
                for vm in host.strangers(procfs, all_kinds=args.all_kinds)
                if not origins or vm.origin in origins
            ]

        everything = args.all_kinds or origins
        vms = resolve.select(
            host.paths,
            args.names,
            probe=host.probe,
            every=not args.names,
            states=args.state,
            strangers=strangers
            if args.names or everything or host.config[settings.LIST_FOREIGN]
            else _joined_ones(host),
        )
        return [vm for vm in vms if not origins or vm.origin in origins]

    def extra_columns(
        self, args: argparse.Namespace
    ) -> dict[str, Callable[..., Any]]:
        """The columns of plug-ins that are asked for.

        A function of a VM, or ``async def`` with host and VM; those are
        asked for all VMs at the same time.
        """
        asked = [word.lstrip("+") for word in (args.columns or "").split(",")]
        asked += [word.lstrip("-") for word in (args.sort or "").split(",")]
        asked += [each.key for each in args.filters]
        return {
            name: self.pick_column(name)
            for name in asked
            if name and name not in _COLUMNS
        }

    def pick_column(self, name: str) -> Callable[..., Any]:
        """Import a plug-in's column.

        :raise UsageError: there is none of that name
        """
        from qemu_cli import extensions

        group = "qemu_cli.columns.list"
        require_column(name, [*_COLUMNS, *extensions.names(group)])
        column: Callable[..., Any] = extensions.pick(group, name)
        return column


def _joined_ones(host: Host) -> Callable[[ProcFS], list[VM]] | None:
    """Only those that were joined; None: there are none."""
    if not host.paths.joined.exists():
        return None
    return lambda procfs: [vm for vm in host.strangers(procfs) if vm.joined]


#: All keys of a row, in their order in machine formats.
_COLUMNS = (
    "name",
    "state",
    "reason",
    "run_state",
    "origin",
    "pid",
    "arch",
    "machine",
    "accel",
    "cpus",
    "memory_mib",
    "uptime_s",
    "forwards",
    "qemu_version",
    "monitor",
    "user",
    "monitor_reason",
    "monitor_holder",
    "joined",
)

#: The word for what was found of a monitor, where it is another.
_MONITOR = {"busy": "held"}
_WORDS = frozenset({"free", "held", "hmp", "none", "unreachable"})


def _row(vm: VM, cache: Cache, procfs: ProcFS) -> dict[str, Any]:
    state, reason = vm.state, vm.reason
    facts = Facts()
    if vm.process:
        facts = machine_facts.from_argv(vm.process.argv)
    elif state != "broken":
        try:
            facts = cache.facts(vm.paths.definition)
        except Exception as error:  # noqa: BLE001  a broken VM is a row
            state, reason = "broken", str(error)
    memory = facts.memory_mib
    return {
        "name": vm.name,
        "state": State(state),
        "reason": reason,
        "run_state": vm.run_state,
        "origin": vm.origin,
        "pid": vm.process.pid if vm.process else None,
        "arch": facts.arch,
        "machine": facts.machine,
        "accel": facts.accel,
        "cpus": facts.cpus,
        "memory_mib": None if memory is None else Size(memory, unit=_MIB),
        "uptime_s": Duration(round(procfs.uptime_s(vm.process), 2))
        if vm.process
        else None,
        "forwards": Named(
            [forward._asdict() for forward in facts.forwards],
            " ".join(map(str, facts.forwards)),
        ),
        "qemu_version": ".".join(map(str, vm.version)) if vm.version else None,
        **_monitor(vm),
        "joined": vm.joined,
    }


def _monitor(vm: VM) -> dict[str, Any]:
    """Whether it can be talked to, who keeps us from it, and why."""
    word = _MONITOR.get(vm.reach, vm.reach)
    if word not in _WORDS:
        word = "unreachable"
    reason = vm.reason if word == "unreachable" else ""
    user = holder = None
    if vm.foreign:
        user = vm.foreign.user
        reason = vm.foreign.access.reason or reason
        holder = vm.foreign.holder
    text = word
    if holder:
        program = holder.argv[0].rpartition("/")[2] if holder.argv else "?"
        text = f"held by {program} (pid {holder.pid})"
    return {
        "monitor": Named(word, text),
        "user": user,
        "monitor_reason": reason,
        "monitor_holder": holder and {"pid": holder.pid, "program": program},
    }
