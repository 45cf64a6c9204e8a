"""``qemu cdrom insert`` and ``eject``: what is in a CD drive."""

from pathlib import Path

from qemu_cli.errors import StateError, UsageError
from qemu_cli.instance import change, spelling
from qemu_cli.instance.create import check_readable
from qemu_cli.instance.disks import edit, guard
from qemu_cli.instance.disks.chains import unknown
from qemu_cli.instance.disks.done import Done, do
from qemu_cli.instance.disks.guard import Live
from qemu_cli.instance.host import Host
from qemu_cli.instance.model import Cdrom, Definition
from qemu_cli.instance.vm import VM
from qemu_cli.paths import InstancePaths
from qemu_cli.steps import AnyStep, Plan, WriteFile
from qemu_cli.steps.block import AddNode, ChangeMedium, DropNodes


async def change_medium(
    host: Host,
    vm: VM,
    file: Path | None,
    *,
    drive: str | None = None,
    force: bool = False,
    dry_run: bool = False,
) -> Done:
    """Put a CD into a drive, or take out what is in there.

    :param file: None: take it out
    :param drive: its id; None: the only one
    :param force: also when the guest has locked the tray
    :raise StateError: the VM has no drive, it is empty, or locked
    :raise NotFoundError: there is no such drive or file
    """
    paths = vm.paths
    if file is not None:
        file = file.absolute()
        check_readable(file)
    async with change.changing(host, paths) as now:
        guard.check_changeable(now)
        cdrom = _find(now, now.definition, drive)
        seen = await guard.look(host, now, cdrom.id)
        if file is None and not (cdrom.file or (seen and seen.nodes)):
            raise StateError(f"{cdrom.id} is empty")
        name = None if file is None else str(file)
        edited = edit.edit(
            host,
            paths,
            lambda doc: edit.update(doc, "cdroms", cdrom.id, {"file": name}),
        )
        plan = plan_medium(
            paths, cdrom.id, file, edited.step, seen, force=force
        )
        text = f"{cdrom.id}: {name}" if name else f"{cdrom.id} is empty"
        return await do(
            host,
            paths,
            Done(plan, text, {"drive": cdrom.id, "file": name}),
            action="cdrom insert" if file else "cdrom eject",
            files=(file,) if file else (),
            dry_run=dry_run,
        )


def _find(vm: VM, definition: Definition, id: str | None) -> Cdrom:
    drives = definition.cdroms
    known = [drive.id for drive in drives]
    if not drives:
        raise StateError(
            f"'{vm.name}' has no CD drive",
            hint="'qemu create --cdrom' makes a VM with one",
        )
    if id is None:
        if len(drives) > 1:
            raise UsageError(
                f"'{vm.name}' has the drives {', '.join(known)}",
                hint=f"say which: --drive {known[0]}",
            )
        return drives[0]
    for drive in drives:
        if drive.id == id:
            return drive
    raise unknown(vm.name, id, known, what="CD drive")


def plan_medium(
    paths: InstancePaths,
    id: str,
    file: Path | None,
    define: WriteFile,
    seen: Live | None,
    *,
    force: bool,
) -> Plan:
    """Work out how a medium is changed.  Pure.

    :param define: what writes the definition that has it
    :param seen: the drive in the running QEMU
    """
    title = f"cdrom {'insert' if file else 'eject'} {paths.name} {id}"
    if seen is None:
        return Plan(title, (define,))
    steps: list[AnyStep] = []
    name = None
    if file:
        name = guard.free_node(id, seen.graph)
        steps.append(AddNode(spelling.cdrom_node(file, name)))
    was = seen.nodes[0] if seen.nodes else None
    steps += [define, ChangeMedium(seen.device.qdev, name, was, force)]
    commit = len(steps)
    if seen.nodes:
        steps.append(DropNodes(seen.nodes))
    return Plan(title, tuple(steps), commit)
