"""Images that are needed by nobody when an instance is gone.

``snapshot delete`` and ``snapshot revert`` leave a layer that a clone
stands on, though its own VM needs it no more.  It is not removed with the
clone: a person may have kept it on purpose, as ``disk move --keep`` does.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from qemu_cli.errors import QemuCliError
from qemu_cli.instance import definitions, needs
from qemu_cli.instance.host import Host
from qemu_cli.instance.snapshots import layers, store
from qemu_cli.paths import InstancePaths
from qemu_cli.storage import dependants, tools


async def of(
    host: Host, name: str, needed: Mapping[str, Sequence[Path]]
) -> list[Path]:
    """Find the images of others that only one instance needs.

    :param name: the instance
    :param needed: the files that each instance needs, see
        :func:`needs.everyone`
    """
    tool = tools.find("qemu-img", host.config)
    others = {each: needed[each] for each in needed if each != name}
    mine = {Path(os.path.realpath(file)) for file in needed.get(name, ())}
    found = []
    for other in others:
        paths = host.paths.instance(other)
        here = Path(os.path.realpath(paths.directory))
        theirs = {file for file in mine if file.parent == here}
        if theirs:
            theirs -= await _needed(host, paths, tool)
        found += [
            file
            for file in sorted(theirs)
            if file.is_file() and not dependants.users_of(file, others)
        ]
    return found


async def _needed(host: Host, paths: InstancePaths, tool: str) -> set[Path]:
    """The files that an instance has for itself."""
    try:
        definition = definitions.load(paths.definition)
        tree = store.load(paths)
        known = await layers.read(host, paths, definition, tree, tool=tool)
    except QemuCliError:
        return {Path(os.path.realpath(file)) for file in needs.own(paths)}
    return set(known.live)
