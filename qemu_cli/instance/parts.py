"""What plug-ins give a VM at its birth."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qemu_cli.instance.shares.wish import ShareWish


@dataclass(frozen=True)
class Newborn:
    """A VM that is about to be made.

    :param directory: its directory, which is not there yet
    :param uuid: as the guest will see it
    :param machine: the versioned machine type
    """

    name: str
    directory: Path
    uuid: str
    arch: str
    machine: str


@dataclass(frozen=True)
class NewFile:
    """A file in the instance's directory, mode 0600.

    :param what: it is, for a dry run, which does not show the content
    """

    name: str
    data: bytes
    what: str


@dataclass(frozen=True)
class Parts:
    """What a plug-in gives it.

    :param shares: with the driver that they are to have
    :param cdroms: names of files among ``files`` or paths, each a CD in a
        drive that a guest with virtio's drivers sees
    :param table: goes into the ``[plugin.NAME]`` that ``plugin`` names
    """

    plugin: str
    files: tuple[NewFile, ...] = ()
    cdroms: tuple[str, ...] = ()
    shares: tuple[ShareWish, ...] = ()
    table: Mapping[str, Any] = field(default_factory=dict)


#: Says what a VM gets; called once its uuid is known.  Changes nothing.
Extra = Callable[[Newborn], Parts]
