"""Which files each instance needs, running or not."""

import os
from collections.abc import Iterator
from pathlib import Path

from qemu_cli.errors import NotFoundError, QemuCliError
from qemu_cli.instance import definitions
from qemu_cli.instance import vm as vms
from qemu_cli.instance.host import Host
from qemu_cli.instance.model import Definition
from qemu_cli.instance.snapshots import store
from qemu_cli.paths import InstancePaths
from qemu_cli.storage import dependants, header
from qemu_cli.storage.dependants import Reference


def own(paths: InstancePaths) -> Iterator[Path]:
    """All files in the instance's directory."""
    for path in sorted(paths.directory.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path


async def references(
    paths: InstancePaths, qemu_img: str
) -> tuple[Reference, ...]:
    """Tell which image of an instance needs which file.

    When its definition can't be read, all qcow2 files in its directory
    are taken for its images.  An image that can't be read needs nothing.
    """
    try:
        definition = definitions.load(paths.definition)
        images = [
            (paths.directory / image.file, image.format)
            for image in definition.images
        ]
        images += [
            (paths.directory / layer.file, layer.format)
            for layer in store.load(paths).layers
        ]
    except QemuCliError:
        images = [(file, "qcow2") for file in own(paths) if _is_qcow2(file)]
    found: dict[Reference, None] = {}
    for file, image_format in images:
        try:
            needed = await dependants.references(
                qemu_img, file, format=image_format
            )
        except QemuCliError:
            continue
        found |= dict.fromkeys(needed)
    return tuple(found)


async def check_there(
    tool: str, name: str, what: str, file: Path, image_format: str
) -> None:
    """See that no file of a backing chain is missing.

    :param name: of the VM
    :param what: the disk is called
    :raise NotFoundError: names the one that is
    """
    files = await dependants.backing_chain(tool, file, format=image_format)
    for each in files:
        if not each.exists():
            lacks = "is" if each == file else "stands on a file that is"
            raise NotFoundError(
                f"{what} of '{name}' {lacks} missing: "
                f"{os.path.normpath(each)}",
                hint="put it back",
            )


def _is_qcow2(file: Path) -> bool:
    try:
        return header.read(file) is not None
    except (OSError, QemuCliError):
        return False


def readable(host: Host) -> Iterator[tuple[InstancePaths, Definition]]:
    """All instances whose definition can be read."""
    for name in vms.names(host.paths):
        paths = host.paths.instance(name)
        try:
            yield paths, definitions.load(paths.definition)
        except QemuCliError:
            continue  # it can't be started either


def writers(host: Host, file: Path) -> list[str]:
    """Name the instances whose guests write to a file."""
    wanted = dependants.identity(file)
    return [
        paths.name
        for paths, definition in readable(host)
        for disk in definition.disks
        if not disk.read_only
        and dependants.identity(paths.directory / disk.file) == wanted
    ]


async def everyone(host: Host, qemu_img: str) -> dict[str, list[Path]]:
    """All files that each instance needs, by its name."""
    found: dict[str, list[Path]] = {}
    for name in vms.names(host.paths):
        paths = host.paths.instance(name)
        files = [each.file for each in await references(paths, qemu_img)]
        try:
            definition = definitions.load(paths.definition)
        except QemuCliError:
            definition = None
        if definition:
            files += [
                paths.directory / file for file in definition.files.values()
            ]
        found[name] = files
    return found
