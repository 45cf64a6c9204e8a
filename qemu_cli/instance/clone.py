"""Cloning an instance: a copy, or a second overlay on the same disks.

A linked clone freezes its source's disks: what was the active layer is
only read from then on, and the source and the clone each write to an
overlay of their own on it.  (When the source has written nothing since
it was last cloned, it keeps its overlay, so that the clones of a template
do not make its chain longer and longer.)
"""

import asyncio
import os
import shutil
import time
import uuid
from pathlib import Path
from typing import NamedTuple

from qemu_cli.errors import StateError, UsageError
from qemu_cli.instance import change, history, needs, ports, saved
from qemu_cli.instance.clone_plan import DiskFacts, Facts, Layer, plan_clone
from qemu_cli.instance.create import taken_ports
from qemu_cli.instance.discovery import joined
from qemu_cli.instance.exports import held
from qemu_cli.instance.host import Host, vm_facts
from qemu_cli.instance.model import Definition, Disk
from qemu_cli.instance.names import check_name
from qemu_cli.instance.rename import check_room
from qemu_cli.instance.vm import VM
from qemu_cli.paths import InstancePaths
from qemu_cli.steps import Plan
from qemu_cli.storage import images, tools
from qemu_cli.storage.dependants import local_files


class Cloned(NamedTuple):
    """What was made, or would be."""

    definition: Definition
    plan: Plan


class Space(NamedTuple):
    """How much a full clone takes, at most, and how much there is."""

    needed_bytes: int
    free_bytes: int


async def clone(
    host: Host,
    source: VM,
    name: str,
    *,
    full: bool = False,
    dry_run: bool = False,
) -> Cloned:
    """Make an instance from another, which must be stopped.

    :param full: copy the disks, so that the two share nothing
    :raise UsageError: it can't be called so
    :raise StateError: it runs, or the name is taken
    """
    paths, new = source.paths, host.paths.instance(check_name(name))
    if new.name == paths.name:
        raise UsageError(f"a clone of '{paths.name}' needs another name")
    joined.check_room(host.paths, new.name)
    async with change.changing(host, paths, new) as now:
        check_room(new)
        check_cloneable(now, full=full)
        definition = now.definition
        facts = await _gather(host, paths, definition)
        made, plan = plan_clone(paths, new, definition, facts, full=full)
        before, after = vm_facts(paths, definition), vm_facts(new, made)
        problems = host.hooks.check_definition(after)
        if problems:
            raise StateError("; ".join(problems))
        if dry_run:
            return Cloned(made, plan)
        if saved.exists(paths):
            host.warn(
                f"the saved state of '{paths.name}' is not cloned: '{name}' "
                "boots from disks as after a power cut"
            )
        await change.run(host, paths, plan)
        history.note(paths, "clone", command=host.who, to=new.name)
        history.note(new, "clone", command=host.who, source=paths.name)
    host.hooks.cloned(before, after)
    return Cloned(made, plan)


def check_cloneable(vm: VM, *, full: bool) -> None:
    """Refuse to clone what is about to change its disks.

    :raise StateError: it runs, was saved while it did, or clients write
    """
    if vm.alive:
        raise StateError(
            f"'{vm.name}' is {vm.state}: its disks can't be cloned",
            hint=f"'qemu shutdown {vm.name}' first",
        )
    if saved.exists(vm.paths) and not full:
        raise StateError(
            f"'{vm.name}' has a saved state, which goes with its disks as"
            " they are now",
            hint="start it and shut it down first, or copy: --full",
        )
    held.check_still(vm.paths)


async def space(host: Host, source: VM) -> Space:
    """Look how much a full clone takes, at most.

    :raise ToolError: an image can't be read
    """
    tool = tools.find("qemu-img", host.config)
    needed = 0
    for disk in source.definition.disks:
        layers = await images.chain(
            tool, source.paths.directory / disk.file, format=disk.format
        )
        needed += sum(layer.actual_size_bytes for layer in layers)
    return Space(needed, shutil.disk_usage(host.paths.instances).free)


async def _gather(
    host: Host, paths: InstancePaths, definition: Definition
) -> Facts:
    tool = tools.find("qemu-img", host.config)
    taken = {number for _, number in taken_ports(host)}
    host_ports: list[int] = []
    for forward in definition.forwards:
        host_ports.append(
            ports.choose(
                forward.host_address,
                taken.union(host_ports),
                udp=forward.protocol == "udp",
            )
        )
    return Facts(
        qemu_img=tool,
        text=paths.definition.read_text(encoding="utf-8"),
        disks=tuple(
            await asyncio.gather(
                *(_disk(tool, paths, disk) for disk in definition.disks)
            )
        ),
        host_ports=tuple(host_ports),
        has_nvram=(paths.directory / definition.firmware.vars).exists(),
        has_tpm_state=paths.tpm_state.is_dir(),
        uuid=str(uuid.uuid4()),
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )


async def _disk(tool: str, paths: InstancePaths, disk: Disk) -> DiskFacts:
    file = Path(os.path.normpath(paths.directory / disk.file))
    await needs.check_there(tool, paths.name, disk.id, file, disk.format)
    image = await images.info(tool, file, format=disk.format)
    plain = disk.format in ("raw", "qcow2") and file.is_file()
    return DiskFacts(
        top=Layer(file, disk.format),
        size_bytes=image.virtual_size_bytes,
        next_file=_next_file(paths, disk),
        empty_on=await _empty_on(tool, image),
        alone=plain and not image.backing_file and not image.data_file,
    )


async def _empty_on(tool: str, image: images.ImageInfo) -> Layer | None:
    """What an overlay stands on, if it holds nothing itself."""
    name, base_format = image.backing_file, image.backing_format
    if name is None or base_format is None:
        return None
    files = local_files(name, Path(image.path))
    if len(files) != 1 or not await images.is_empty(tool, image):
        return None
    return Layer(Path(os.path.normpath(files[0])), base_format)


def _next_file(paths: InstancePaths, disk: Disk) -> str:
    number = 1
    while (paths.directory / f"{disk.id}.{number}.qcow2").exists():
        number += 1
    return f"{disk.id}.{number}.qcow2"
