"""From an instance and its disks' layers to a clone's plan.  Pure.

The order that loses nothing: first the overlays, which read as what they
stand on, then the definition of the source, which from then on writes to
its overlay and never again to what the clone stands on, and last the
definition of the clone.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import tomlkit

from qemu_cli.instance import definitions
from qemu_cli.instance.blueprint import new_mac
from qemu_cli.instance.model import Cdrom, Definition, Disk, Kernel, Nic
from qemu_cli.paths import InstancePaths
from qemu_cli.steps import AnyStep, MakeDirectory, Plan, Tool, WriteFile
from qemu_cli.storage import qemu_img


@dataclass(frozen=True)
class Layer:
    """A file that a disk can stand on."""

    file: Path
    format: str


@dataclass(frozen=True)
class DiskFacts:
    """What a disk of the source is made of.

    :param top: its active layer
    :param empty_on: what the active layer stands on, when it holds
        nothing itself; else None
    :param alone: whether all it holds is in the active layer, and that is
        a file that can be copied as it is
    :param next_file: a name for another layer, not taken yet
    """

    top: Layer
    size_bytes: int
    next_file: str
    empty_on: Layer | None = None
    alone: bool = True


@dataclass(frozen=True)
class Facts:
    """What the source and the host say.

    :param text: the source's ``instance.toml``
    :param disks: in the order of the definition
    :param host_ports: new ones for all forwards, in their order
    """

    qemu_img: str
    text: str
    disks: tuple[DiskFacts, ...]
    host_ports: tuple[int, ...]
    has_nvram: bool
    has_tpm_state: bool
    uuid: str
    created: str


def plan_clone(
    source: InstancePaths,
    clone: InstancePaths,
    definition: Definition,
    facts: Facts,
    *,
    full: bool,
) -> tuple[Definition, Plan]:
    """Work out the clone's definition and the steps that make it.

    But for the MACs, which are new each time.

    :param definition: the source's
    :param full: copy the disks, so that the two share nothing
    """
    steps: list[AnyStep] = [MakeDirectory(str(clone.directory))]
    document = tomlkit.parse(facts.text)
    disks = []
    for number, disk in enumerate(definition.disks):
        known = facts.disks[number]
        if disk.read_only and not _inside(known.top.file, source):
            own = msgspec.structs.replace(disk, file=str(known.top.file))
        elif full:
            own = _copy(disk, known, clone, facts.qemu_img, steps)
        else:
            own = _link(disk, known, source, clone, facts.qemu_img, steps)
            if not disk.read_only and known.empty_on is None:
                steps.append(_freeze(known, source, facts.qemu_img))
                table: Any = document["disks"]
                table[number]["file"] = known.next_file
                table[number]["format"] = "qcow2"
        disks.append(own)
    bring = _Bringer(source, clone, steps)
    made = msgspec.structs.replace(
        definition,
        uuid=facts.uuid,
        created=facts.created,
        disks=tuple(disks),
        cdroms=tuple(bring.cdrom(each) for each in definition.cdroms),
        boot=bring.kernel(definition.boot),
        firmware=msgspec.structs.replace(
            definition.firmware, vars=clone.nvram.name
        ),
        nics=_nics(definition, facts.host_ports),
    )
    if facts.has_nvram:
        # Converted, not copied: snapshots stay with the source.
        vars_ = source.directory / definition.firmware.vars
        argv = qemu_img.convert_argv(
            *(facts.qemu_img, vars_, "qcow2", clone.nvram, "qcow2")
        )
        steps.append(Tool(argv, creates=str(clone.nvram)))
    if full and facts.has_tpm_state:
        steps.append(_copy_tree(source.tpm_state, clone.tpm_state))
    elif definition.tpm:
        steps.append(MakeDirectory(str(clone.tpm_state)))
    text = tomlkit.dumps(document)
    if text != facts.text:
        steps.append(WriteFile(str(source.definition), text, facts.text))
    steps.append(WriteFile(str(clone.definition), definitions.render(made)))
    title = f"clone {source.name} {clone.name}"
    return made, Plan(title, tuple(steps), also=(clone.name,))


def _inside(file: Path, instance: InstancePaths) -> bool:
    return file.is_relative_to(instance.directory)


def _freeze(known: DiskFacts, source: InstancePaths, tool: str) -> Tool:
    """The source's own overlay on what was its active layer."""
    target = source.directory / known.next_file
    return _overlay(target, known.top, known.size_bytes, source, tool)


def _link(
    disk: Disk,
    known: DiskFacts,
    source: InstancePaths,
    clone: InstancePaths,
    tool: str,
    steps: list[AnyStep],
) -> Disk:
    """The clone's overlay on what the source stands on from now on."""
    base = known.empty_on or known.top
    file = f"{disk.id}.qcow2"
    target = clone.directory / file
    steps.append(_overlay(target, base, known.size_bytes, source, tool))
    return msgspec.structs.replace(disk, file=file, format="qcow2")


def _overlay(
    target: Path,
    base: Layer,
    size_bytes: int,
    source: InstancePaths,
    tool: str,
) -> Tool:
    """An overlay; what is among the instances is spelled relative."""
    backing = str(base.file)
    if base.file.is_relative_to(source.directory.parent):
        backing = os.path.relpath(base.file, target.parent)
    argv = qemu_img.create_overlay_argv(
        tool, target, backing, base.format, size_bytes=size_bytes
    )
    return Tool(argv, creates=str(target))


def _copy(
    disk: Disk,
    known: DiskFacts,
    clone: InstancePaths,
    tool: str,
    steps: list[AnyStep],
) -> Disk:
    """A copy that stands alone."""
    image_format = "raw" if known.top.format == "raw" else "qcow2"
    file = f"{disk.id}.{image_format}"
    target = clone.directory / file
    argv = (
        qemu_img.copy_argv(known.top.file, target)
        if known.alone
        else qemu_img.convert_argv(
            *(tool, known.top.file, known.top.format, target, image_format)
        )
    )
    steps.append(Tool(argv, creates=str(target)))
    return msgspec.convert(
        {**msgspec.to_builtins(disk), "file": file, "format": image_format},
        Disk,
    )


def _copy_tree(source: Path, target: Path) -> Tool:
    return Tool(
        qemu_img.copy_tree_argv(source, target),
        back=("rm", "-rf", "--", str(target)),
    )


class _Bringer:
    """Gives the clone the files that no guest writes.

    Those in the source's directory are copied, others are shared.
    """

    def __init__(
        self,
        source: InstancePaths,
        clone: InstancePaths,
        steps: list[AnyStep],
    ) -> None:
        self._source = source
        self._clone = clone
        self._steps = steps

    def cdrom(self, cdrom: Cdrom) -> Cdrom:
        if cdrom.file is None:
            return cdrom
        return msgspec.structs.replace(cdrom, file=self._file(cdrom.file))

    def kernel(self, boot: Kernel | None) -> Kernel | None:
        if boot is None:
            return None
        return msgspec.structs.replace(
            boot,
            kernel=self._file(boot.kernel),
            initrd=self._file(boot.initrd) if boot.initrd else None,
        )

    def _file(self, name: str) -> str:
        file = Path(os.path.normpath(self._source.directory / name))
        if not _inside(file, self._source):
            return str(file)
        target = self._clone.directory / file.name
        self._steps.append(
            Tool(qemu_img.copy_argv(file, target), creates=str(target))
        )
        return file.name


def _nics(
    definition: Definition, host_ports: tuple[int, ...]
) -> tuple[Nic, ...]:
    left = iter(host_ports)
    return tuple(
        msgspec.structs.replace(
            nic,
            mac=new_mac(),
            forwards=tuple(
                msgspec.structs.replace(forward, host_port=next(left))
                for forward in nic.forwards
            ),
        )
        for nic in definition.nics
    )
