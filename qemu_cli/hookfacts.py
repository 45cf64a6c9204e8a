"""What hooks are told.  Apart from the hooks: it costs no pluggy."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple


class VMFacts(NamedTuple):
    """What a hook is told about a VM of ours.

    :param name: the instance's name
    :param directory: the instance's directory; a plug-in may keep files
        of its own in it
    :param uuid: as the guest sees it
    :param arch: QEMU's word for the architecture, such as ``x86_64``
    :param machine: the versioned machine type, such as ``pc-q35-7.2``
    :param pid: QEMU's process, or None while it does not run
    :param plugin: the ``[plugin.NAME]`` tables of instance.toml, by NAME
    """

    name: str
    directory: Path
    uuid: str
    arch: str
    machine: str
    pid: int | None = None
    plugin: Mapping[str, Mapping[str, Any]] = {}


class ProcessFacts(NamedTuple):
    """What a hook is told about a QEMU that is not ours.

    :param pid: its process
    :param argv: its command line
    """

    pid: int
    argv: tuple[str, ...]
