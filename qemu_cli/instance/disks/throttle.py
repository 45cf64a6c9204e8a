"""``qemu disk throttle``: limits, at once and at each start."""

import msgspec

from qemu_cli.errors import UsageError
from qemu_cli.instance import change
from qemu_cli.instance.disks import edit, guard
from qemu_cli.instance.disks.done import Done, do
from qemu_cli.instance.host import Host
from qemu_cli.instance.model import Throttle
from qemu_cli.instance.vm import VM
from qemu_cli.steps import AnyStep, Plan, block
from qemu_cli.units import format_size


async def throttle(
    host: Host,
    vm: VM,
    id: str,
    wanted: Throttle,
    *,
    dry_run: bool = False,
) -> Done:
    """Limit what a disk reads and writes; the limits before are lifted.

    :raise UsageError: the limits contradict each other
    """
    if wanted.mixed:
        raise UsageError(
            f"a limit for reading and writing together ({wanted.mixed[0]}) "
            "goes with none for either alone"
        )
    paths = vm.paths
    async with change.changing(host, paths) as now:
        guard.check_changeable(now)
        disk = guard.find(now, now.definition, id)
        table = msgspec.to_builtins(wanted)
        edited = edit.edit(
            host,
            paths,
            lambda doc: edit.update(
                doc, "disks", id, {"throttle": table or None}
            ),
        )
        steps: list[AnyStep] = []
        if await guard.look(host, now, id):
            before = (disk.throttle or Throttle()).limits
            limits = wanted.limits
            steps.append(block.Throttle(id, limits, before))
        plan = Plan(f"disk throttle {now.name} {id}", (*steps, edited.step))
        text = f"{id} is limited: {_words(wanted)}"
        if not table:
            text = f"{id} is not limited"
        return await do(
            host,
            paths,
            Done(plan, text, {"disk": id, **msgspec.structs.asdict(wanted)}),
            action="disk throttle",
            dry_run=dry_run,
        )


def _words(throttle: Throttle) -> str:
    return ", ".join(
        f"{name} {format_size(value) if name[0] == 'b' else value}"
        for name, value in msgspec.to_builtins(throttle).items()
    )
