"""Serving something no more, and removing what was made for it.

Filters are stacked where a disk is served at several points in time.  One
that lies below another can't be taken out: what stands on it would miss
what the guest wrote.  It stays, with its record, until it is on top.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from qemu_cli.errors import NotFoundError, QemuCliError
from qemu_cli.instance import change, history
from qemu_cli.instance.exports import daemon, publish, records, running
from qemu_cli.instance.exports.model import Export
from qemu_cli.instance.host import Host
from qemu_cli.instance.vm import VM
from qemu_cli.paths import InstancePaths
from qemu_cli.steps import AnyStep, Plan, Remove
from qemu_cli.steps.block import DropNodes
from qemu_cli.steps.nbd import DropExport, StopServer, Switch, in_use
from qemu_cli.storage import graph
from qemu_cli.storage.graph import Graph
from qemu_cli.suggest import did_you_mean


class Facts(NamedTuple):
    """What a running QEMU says.

    :param served: ids of what it exports
    :param stoppable: its NBD server can be stopped without harm
    """

    graph: Graph
    served: frozenset[str]
    stoppable: bool


async def stop(
    host: Host, vm: VM, which: Collection[str] = (), *, hard: bool = False
) -> list[Export]:
    """Take exports down, the newest first.

    :param which: names or ids; none: all
    :param hard: also those that a client is connected to
    :return: what was taken down
    :raise NotFoundError: there is no such export
    :raise BusyError: a client is connected; the others are taken down
    """
    async with change.attending(host, vm) as now:
        chosen = choose(vm, await tidy(host, now), which)
        failed: list[QemuCliError] = []
        stopped = []
        for export in reversed(chosen):
            try:
                await _take_down(host, now, export, hard=hard)
            except QemuCliError as error:
                failed.append(error)
            else:
                stopped.append(export)
        await tidy(host, now)
        if stopped:
            names = [export.name for export in stopped]
            history.note(
                vm.paths, "export-stop", command=host.who, exports=names
            )
    if failed:
        raise failed[0]
    return stopped


async def tidy(host: Host, vm: VM) -> list[Export]:
    """Remove what belongs to exports that are not served any more.

    :return: those that are
    """
    known = records.read(vm.paths)
    ids: frozenset[str] = frozenset()
    if vm.alive and any(export.server == "qemu" for export in known):
        ids = (await look(host, vm)).served
    served = []
    for export in known:
        alive = export.server == "daemon" or export.id in ids
        if alive and daemon.died(vm.paths, export):
            host.warn(
                f"{vm.name}: {export.name} is served no more: the daemon "
                "that served it is gone, killed perhaps"
            )
        elif alive:
            served.append(export)
    for export in reversed(known):
        if export not in served:
            await _take_down(host, vm, export, hard=True)
    return served


def choose(
    vm: VM, known: Sequence[Export], which: Collection[str]
) -> list[Export]:
    """Find the exports that are meant.

    :raise NotFoundError: there is no such export, or none at all
    """
    if not which:
        if not known:
            raise NotFoundError(f"'{vm.name}' exports nothing")
        return list(known)
    names = [each.name for each in known]
    for word in which:
        if not any(word in (each.id, each.name) for each in known):
            raise NotFoundError(
                f"'{vm.name}' has no export '{word}'",
                hint=did_you_mean(word, names)
                or f"it has {', '.join(names) or 'none'}",
            )
    return [e for e in known if e.id in which or e.name in which]


async def look(host: Host, vm: VM) -> Facts:
    """Ask a running QEMU what a plan has to know."""
    async with (
        host.sessions.open(vm.monitors) as session,
        session.exchange(),
    ):
        exports = await session.execute("query-block-exports")
        return Facts(
            await graph.read(session),
            frozenset(export["id"] for export in exports),
            await running.server_is_stoppable(host, vm, session),
        )


async def plan_stop(
    host: Host, vm: VM, export: Export, *, hard: bool = False
) -> list[Plan]:
    """Work out how one export is taken down; changes nothing.

    What is served to others is withdrawn first, and stays so when
    somebody is connected to the private socket.

    :raise BusyError: a client is connected to the daemon that serves it
    """
    paths = vm.paths
    others = [each for each in records.read(paths) if each.id != export.id]
    last = export.listener not in {each.listener for each in others}
    withdrawn = publish.withdraw(paths, export, last=last, hard=hard)
    if export.server == "daemon":
        if not (hard or withdrawn) and daemon.has_client(paths, export):
            raise in_use(export.id)
        steps = [*daemon.end(paths, export), *_forget(paths, export)]
    elif vm.alive:
        facts = await look(host, vm)
        steps = list(plan_qemu(paths, export, facts, hard=hard))
    else:
        steps = list(_forget(paths, export))
    title = f"export stop {vm.name}"
    return [
        Plan(title, tuple(each), commit=1, frees=True)
        for each in (withdrawn, steps)
        if each
    ]


def plan_qemu(
    paths: InstancePaths, export: Export, facts: Facts, *, hard: bool
) -> Iterable[AnyStep]:
    """The steps for an export of a running QEMU.  Pure."""
    yield DropExport(export.id, hard)
    if facts.stoppable and not facts.served - {export.id}:
        yield StopServer(str(paths.nbd_socket))
    if export.nodes:
        yield DropNodes(export.nodes)
    if export.filter is not None:
        for device in facts.graph.devices:
            filters = [node.name for node in facts.graph.filters(device)]
            if export.filter not in filters:
                continue
            if export.filter != filters[0]:
                return
            below = facts.graph.nodes[export.filter].children["file"]
            yield Switch(((device.qdev, export.filter, below),))
        yield DropNodes((export.filter, str(export.target)))
    yield from _forget(paths, export)


def _forget(paths: InstancePaths, export: Export) -> Iterable[AnyStep]:
    yield from map(Remove, export.files)
    yield Remove(str(records.file_of(paths, export)))


async def _take_down(
    host: Host, vm: VM, export: Export, *, hard: bool
) -> None:
    for each in await plan_stop(host, vm, export, hard=hard):
        await change.run_on(host, vm, each)
