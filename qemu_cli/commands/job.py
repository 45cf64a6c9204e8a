"""qemu job list, show, wait, cancel, pause, resume and dismiss."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qemu_cli.columns import Duration, Named
from qemu_cli.command import Lister, Result, ShowOne, VMCommand
from qemu_cli.command.display import Table
from qemu_cli.errors import NotFoundError, UsageError
from qemu_cli.units import format_size, parse_duration

if TYPE_CHECKING:
    from qemu_cli.instance.jobs.listing import Found
    from qemu_cli.instance.jobs.state import Job
    from qemu_cli.instance.vm import VM
    from qemu_cli.qmp.session import Session


class JobList(Lister):
    """Show what your VMs do in the background, one row each.

    These are block jobs, snapshots, dumps and migrations, whoever began
    them.  One that has concluded is kept by QEMU until it is dismissed.
    """

    examples = (
        "qemu job list",
        "qemu job list web --columns id,percent,left_s",
        "qemu job list -f json",
    )
    table_columns = (
        *("vm", "id", "type", "status", "percent"),
        *("rate_bytes", "left_s", "change", "error"),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "names",
            nargs="*",
            metavar="NAME",
            help="only of these VMs; * and ? match",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Table:
        from qemu_cli.command import loop
        from qemu_cli.instance import resolve
        from qemu_cli.instance.jobs import listing

        host, names = self.app.host, parsed_args.names
        vms = resolve.select(
            host.paths,
            names,
            probe=host.probe,
            every=not names,
            strangers=host.strangers if names else None,
        )
        for vm in vms:
            self.app.host_of(vm)  # has room for the lock of its monitor
        found = loop.run(listing.look(host, vms))
        for each in found:
            if each.problem:
                self.app.ui.warn(f"{each.vm.name}: {each.problem}")
        rows = [_row(each, job) for each in found for job in each.jobs]
        return _COLUMNS, [[row[name] for name in _COLUMNS] for row in rows]


class JobShow(ShowOne):
    """Show one job of a VM."""

    examples = ("qemu job show web", "qemu job show web move-disk0 -f json")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="a VM")
        parser.add_argument(
            "job", metavar="ID", nargs="?", help="if it has several"
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        from qemu_cli.command import loop
        from qemu_cli.instance import resolve
        from qemu_cli.instance.jobs import listing

        vm = resolve.anyone(self.app.host, parsed_args.name)
        wanted = [parsed_args.job] if parsed_args.job else []
        found = loop.run(listing.look_at_one(self.app.host_of(vm), vm))
        jobs = listing.pick(vm, found.jobs, wanted)
        if not jobs:
            raise NotFoundError(f"'{vm.name}' has no job")
        if len(jobs) > 1:
            ids = ", ".join(job.id for job in jobs)
            raise UsageError(f"'{vm.name}' has several jobs: {ids}")
        row = _row(found, jobs[0])
        return list(row), list(row.values())


class _OnJobs(VMCommand):
    """A command on the jobs of VMs."""

    needs = frozenset({"qmp"})

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--job",
            dest="jobs",
            metavar="ID",
            action="append",
            default=[],
            help="only this one (repeatable; default: all of the VM)",
        )
        return parser


class JobWait(_OnJobs):
    """Wait until jobs have ended, and finish what was left to them.

    That is what --detach leaves.  Fails if a job does, with exit code 5.  A
    job that waits for somebody's order is not waited for.  Ctrl-C ends the
    waiting only; 'qemu job cancel' ends the job.
    """

    examples = (
        "qemu job wait web",
        "qemu job wait --timeout 1h  # all there are",
        "qemu job wait web --job move-disk0",
    )
    needs = frozenset[str]()

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--timeout",
            type=parse_duration,
            metavar="TIME",
            help="how long to wait (default: as long as it takes)",
        )
        return parser

    def select(self, args: argparse.Namespace) -> "Sequence[VM]":
        if args.names:
            return super().select(args)
        args.all = True
        return [
            vm
            for vm in super().select(args)
            if vm.alive or vm.paths.journal.exists()
        ]

    async def act(
        self, vm: "VM", session: "Session", args: argparse.Namespace
    ) -> Result:
        from qemu_cli.instance.jobs import wait

        waited = await wait.wait(
            self.app.host_of(vm), vm, ids=args.jobs, timeout_s=args.timeout
        )
        data = {job.id: job.status for job in waited.jobs}
        if waited.finished:
            return Result(f"'{waited.finished}' is done", data)
        if not waited.jobs:
            return Result("no job")
        return Result(", ".join(map(_end, waited.jobs)), data)


class JobCancel(_OnJobs):
    """Cancel jobs, and take back the changes that they were for.

    What a job has copied so far is lost; the VM goes on as it was.  Those
    of snapshots, and a dump, can't be cancelled: QEMU does not offer it.
    """

    examples = ("qemu job cancel web", "qemu job cancel web --job move-disk0")

    async def act(
        self, vm: "VM", session: "Session", args: argparse.Namespace
    ) -> Result:
        from qemu_cli.instance.jobs import orders

        host = self.app.host_of(vm)
        return _told(
            "cancelled", await orders.cancel(host, vm, session, args.jobs)
        )


class JobPause(_OnJobs):
    """Have jobs make a pause, until 'qemu job resume'."""

    examples = ("qemu job pause web",)

    async def act(
        self, vm: "VM", session: "Session", args: argparse.Namespace
    ) -> Result:
        from qemu_cli.instance.jobs import orders

        return _told("paused", await orders.pause(vm, session, args.jobs))


class JobResume(_OnJobs):
    """Have jobs go on that make a pause, or that a full disk stopped."""

    examples = ("qemu job resume web",)

    async def act(
        self, vm: "VM", session: "Session", args: argparse.Namespace
    ) -> Result:
        from qemu_cli.instance.jobs import orders

        return _told("goes on", await orders.resume(vm, session, args.jobs))


class JobDismiss(_OnJobs):
    """Have QEMU forget jobs that have ended, and their errors."""

    examples = ("qemu job dismiss web", "qemu job dismiss --all")

    async def act(
        self, vm: "VM", session: "Session", args: argparse.Namespace
    ) -> Result:
        from qemu_cli.instance.jobs import orders

        return _told("dismissed", await orders.dismiss(vm, session, args.jobs))


def _told(what: str, ids: Sequence[str]) -> Result:
    if not ids:
        return Result("no job that has ended")
    return Result(f"{', '.join(ids)}: {what}", dict.fromkeys(ids, what))


def _end(job: "Job") -> str:
    if job.waits_for_order:
        return f"{job.id} is {job.status}: it waits for an order"
    return f"{job.id} is done"


def _row(found: "Found", job: "Job") -> dict[str, Any]:
    rate, left = job.rate_bytes_s, job.left_s
    return {
        "vm": found.vm.name,
        "id": job.id,
        "type": job.type,
        "status": job.status,
        "percent": job.percent,
        "current": job.current,
        "total": job.total,
        "rate_bytes": None if rate is None else _speed(round(rate)),
        "limit_bytes": job.limit_bytes_s and _speed(job.limit_bytes_s),
        "left_s": None if left is None else Duration(round(left, 1)),
        "change": found.change,
        "error": job.error,
    }


def _speed(bytes_s: int) -> Named:
    return Named(bytes_s, f"{format_size(bytes_s)}/s")


#: All keys of a row, in their order.
_COLUMNS = (
    *("vm", "id", "type", "status", "percent", "current", "total"),
    *("rate_bytes", "limit_bytes", "left_s", "change", "error"),
)
