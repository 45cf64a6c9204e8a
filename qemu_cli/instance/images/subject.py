"""An image that the user names: who uses it, and what may be done to it.

The format is the one that an instance, or an overlay of one, has stored;
else it is what the user says; and else it is probed, once.
"""

from pathlib import Path
from typing import NamedTuple

from qemu_cli.errors import BusyError, QemuCliError, StateError, UsageError
from qemu_cli.instance import definitions, needs, saved
from qemu_cli.instance import vm as vms
from qemu_cli.instance.host import Host
from qemu_cli.paths import InstancePaths
from qemu_cli.storage import dependants, holders, images, tools
from qemu_cli.storage.holders import Holder
from qemu_cli.storage.images import ImageInfo


class Use(NamedTuple):
    """What an instance has to do with an image, running or not.

    :param part: ``disk0``; ``base of disk0.qcow2``; ``its directory``
    :param writes: its guest writes to it, when it runs
    :param is_base: others of its images are built on it
    :param format: as it is stored; None: it is not
    """

    vm: str
    part: str
    writes: bool = False
    is_base: bool = False
    format: str | None = None


class Subject(NamedTuple):
    """The image that is meant, and all who have to do with it."""

    image: ImageInfo
    uses: tuple[Use, ...]
    open_by: tuple[Holder, ...]

    @property
    def path(self) -> Path:
        """Where it is."""
        return Path(self.image.path)


class Layer(NamedTuple):
    """One image of a backing chain.

    :param image: None: it is no file of this host (``nbd://…``), or it
        could not be looked at
    :param problem: why it could not
    """

    file: str
    image: ImageInfo | None
    problem: str | None = None


async def look(
    host: Host,
    path: Path,
    *,
    format: str | None = None,
    trusted: bool = False,
    alone: bool = False,
) -> Subject:
    """Look at an image, and at who uses it.

    :param format: what the user says it is
    :param trusted: the user vouches for the files that it refers to;
        those of an image that an instance uses are trusted anyway
    :param alone: its backing file is not going to be opened
    :raise NotFoundError: there is no such file
    :raise UsageError: it is no image, of another format, or needs trust
    """
    qemu_img = tools.find("qemu-img", host.config)
    path = path.absolute()
    uses = await _uses(host, qemu_img, path)
    for use in uses:
        if use.format and format not in (None, use.format):
            raise UsageError(
                f"{path} is {use.format}, not {format}: '{use.vm}' uses it"
                f" as {use.part}"
            )
        format = format or use.format
    image = await images.probe(
        qemu_img,
        path,
        format=format,
        trusted=trusted or any(use.part != "its directory" for use in uses),
        alone=alone,
    )
    return Subject(image, uses, tuple(holders.holders(path)))


async def layers(host: Host, subject: Subject) -> tuple[Layer, ...]:
    """Follow a backing chain from layer to layer, as far as it goes.

    Only files of this host are opened, none to be written, and none as a
    backing file of another: a name in an image can do no harm.
    """
    qemu_img = tools.find("qemu-img", host.config)
    image = subject.image
    found = [Layer(image.path, image)]
    seen = {dependants.identity(subject.path)}
    while name := image.backing_file:
        files = dependants.local_files(name, Path(image.path))
        if not files:
            return *found, Layer(name, None)
        file = files[0]
        if dependants.identity(file) in seen:
            return *found, Layer(str(file), None, "it is its own base")
        if not file.exists():
            return *found, Layer(str(file), None, "it is missing")
        seen.add(dependants.identity(file))
        try:
            image = await images.probe(
                qemu_img, file, format=image.backing_format, alone=True
            )
        except QemuCliError as error:
            return *found, Layer(str(file), None, str(error))
        found.append(Layer(str(file), image))
    return tuple(found)


def require_whole(
    path: Path, chain: tuple[Layer, ...], *, trusted: bool
) -> None:
    """Refuse an image whose chain can't be read, or leads elsewhere.

    :param trusted: the user vouches for where it leads
    :raise StateError: a layer is missing, or damaged
    :raise UsageError: a layer is no file of this host
    """
    for layer in chain:
        if layer.problem:
            raise StateError(
                f"{path} stands on {layer.file}: {layer.problem}",
                hint=f"'qemu image info {path}' shows the chain",
            )
        if layer.image is None and not trusted:
            raise UsageError(
                f"{path} stands on {layer.file}, which is no file of this"
                " host",
                hint="if you know where the image comes from: --trust-image",
            )


async def require_steady(host: Host, subject: Subject) -> None:
    """Refuse to read what somebody writes to: it would be nonsense.

    :raise BusyError: names who writes to which file of the chain
    :raise UsageError: nobody but a guest can read it
    """
    image = subject.image
    if image.encrypted:
        raise UsageError(f"{image.path} is encrypted: only a VM can read it")
    chain = await dependants.backing_chain(
        tools.find("qemu-img", host.config),
        subject.path,
        format=image.format,
    )
    for file, found in holders.of_each(chain).items():
        for holder in found:
            if holder.writes:
                ours = holder.vm in vms.names(host.paths)
                raise BusyError(
                    f"{file} changes while it is read: {holder} writes to it",
                    hint=f"'qemu nbd-export {holder.vm}' shows the disks of a"
                    " running VM as they are at one moment"
                    if ours
                    else "wait until that has ended",
                )


def require_base(subject: Subject) -> None:
    """Refuse an overlay on what is going to be written to.

    :raise StateError: a guest writes to it, when it runs
    :raise BusyError: somebody writes to it now
    """
    for use in subject.uses:
        if use.writes:
            raise StateError(
                f"{subject.path} is {use.part} of '{use.vm}', which writes to"
                " it: an overlay on it would be worth nothing then",
                hint=f"'qemu clone {use.vm} NEW' makes a VM that starts from"
                " the same content",
            )
    for holder in subject.open_by:
        if holder.writes:
            raise BusyError(f"{subject.path} is written to by {holder}")


def require_idle(host: Host, subject: Subject) -> None:
    """Refuse to write to what somebody else has to do with.

    :raise BusyError: somebody has it open
    :raise StateError: others are built on it, or a saved state needs it
    """
    path = subject.path
    if subject.open_by:
        raise BusyError(
            f"{path} is in use by {holders.listed(subject.open_by)}",
            hint="end that first",
        )
    for use in subject.uses:
        if use.is_base:
            raise StateError(f"{path} is the {use.part} of '{use.vm}'")
        if saved.exists(host.paths.instance(use.vm)):
            raise StateError(
                f"{path} belongs to the saved state of '{use.vm}'",
                hint=f"'qemu start {use.vm}' goes on from there",
            )


async def _uses(host: Host, qemu_img: str, path: Path) -> tuple[Use, ...]:
    found: list[Use] = []
    for name in vms.names(host.paths):
        instance = host.paths.instance(name)
        named = [
            *_named(instance, path),
            *await _bases(instance, qemu_img, path),
        ]
        inside = path.resolve().is_relative_to(instance.directory.resolve())
        if inside and not named:
            named = [Use(name, "its directory")]
        found += named
    return tuple(found)


def _named(instance: InstancePaths, path: Path) -> list[Use]:
    """What the definition of an instance says of an image."""
    try:
        definition = definitions.load(instance.definition)
    except QemuCliError:
        return []
    known = {image.id: image for image in definition.images}
    wanted = dependants.identity(path)
    return [
        Use(
            instance.name,
            what,
            writes=what in known and not known[what].read_only,
            format=known[what].format if what in known else None,
        )
        for what, file in definition.files.items()
        if dependants.identity(instance.directory / file) == wanted
    ]


async def _bases(
    instance: InstancePaths, qemu_img: str, path: Path
) -> list[Use]:
    """Which images of an instance are built on an image."""
    wanted = dependants.identity(path)
    return [
        Use(
            instance.name,
            f"base of {each.image.name}",
            is_base=True,
            format=each.file_format,
        )
        for each in await needs.references(instance, qemu_img)
        if dependants.identity(each.file) == wanted
    ]
