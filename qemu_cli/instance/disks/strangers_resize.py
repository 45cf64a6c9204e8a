"""``qemu disk resize`` of a VM that somebody else started.

The image stays the same file: its next start finds the new size there.
"""

from qemu_cli.instance import change
from qemu_cli.instance.disks import strangers
from qemu_cli.instance.disks.done import Done
from qemu_cli.instance.disks.resize import check_shrink, new_size
from qemu_cli.instance.host import Host
from qemu_cli.instance.pause import check_answers
from qemu_cli.instance.snapshots.parts import check_idle
from qemu_cli.instance.vm import VM
from qemu_cli.steps import Plan, Qmp
from qemu_cli.storage import graph
from qemu_cli.units import format_size


async def resize(
    host: Host, vm: VM, id: str, wanted: str, *, dry_run: bool = False
) -> Done:
    """Make a disk larger, while its guest uses it.

    :param wanted: a size, or ``+`` and how much larger
    :raise NotFoundError: there is no such disk
    :raise StateError: it would shrink, or can't be written to
    :raise RefusedError: its format can't be resized
    """
    async with change.attending(host, vm) as now:
        check_answers(now)
        async with (
            host.sessions.open(now.monitors) as session,
            session.exchange(),
        ):
            found = await graph.read(session)
            disk = strangers.find(now, found, id)
            await check_idle(session, now, found, [disk.device])
        old = disk.active.virtual_size_bytes
        new = new_size(wanted, old)
        if new < old:
            what = f"{id} from {format_size(old)} to {format_size(new)}"
            check_shrink(what, shrink=True, running=True)
        resized = {"node-name": disk.active.name, "size": new}
        plan = Plan(
            f"disk resize {now.reference} {id}",
            (Qmp("block_resize", resized),),
        )
        if not dry_run:
            await change.run_on(host, now, plan)
    text = f"{id} resized: {format_size(old)} → {format_size(new)}"
    data = {"disk": id, "old_size_bytes": old, "new_size_bytes": new}
    return Done(plan, text, data)
