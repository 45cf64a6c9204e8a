"""What must stay as it is, because somebody is served with it."""

from qemu_cli.errors import StateError
from qemu_cli.instance import process
from qemu_cli.instance.exports import records
from qemu_cli.instance.exports.model import Export
from qemu_cli.paths import InstancePaths


def served(paths: InstancePaths) -> list[Export]:
    """Find what daemons serve of an instance.

    What its running QEMU serves is not among it: that goes with its QEMU,
    and QEMU protects it.
    """
    return [
        export
        for export in records.read(paths)
        if export.server == "daemon"
        and process.running(paths.daemon_pid_file(export.id))
    ]


def in_use(paths: InstancePaths) -> list[Export]:
    """Find what daemons serve of its disks as they are now.

    As long as they do, the images must not be changed.
    """
    return [each for each in served(paths) if each.snapshot is None]


def holds(paths: InstancePaths) -> dict[str, list[str]]:
    """Find the snapshots that are served.

    :return: by the snapshot's key, the names of its exports
    """
    found: dict[str, list[str]] = {}
    for export in served(paths):
        if export.snapshot is not None:
            found.setdefault(export.snapshot, []).append(export.name)
    return found


def check_startable(paths: InstancePaths) -> None:
    """Refuse to start a QEMU that could not have its disks.

    A backing file is only read by both.

    :raise StateError: daemons serve them; names the exports
    """
    _refuse(paths, [e for e in in_use(paths) if e.kind != "backing"])


def check_still(paths: InstancePaths) -> None:
    """Refuse to copy disks that clients write to.

    :raise StateError: they may; names the exports
    """
    _refuse(paths, [e for e in in_use(paths) if e.kind == "writable"])


def check_unused(paths: InstancePaths) -> None:
    """Refuse to change the disks while they are served.

    :raise StateError: they are; names the exports
    """
    _refuse(paths, in_use(paths))


def check_unserved(paths: InstancePaths) -> None:
    """Refuse to move or remove what is served, snapshots included.

    :raise StateError: something is; names the exports
    """
    _refuse(paths, served(paths))


def check_not_held(paths: InstancePaths, key: str, name: str) -> None:
    """Refuse what changes a snapshot while it is served.

    :param key: the snapshot's; its name is what the user calls it
    :raise StateError: it is; names the exports
    """
    exports = holds(paths).get(key)
    if exports:
        which = " ".join(exports)
        raise StateError(
            f"the snapshot '{name}' of '{paths.name}' is being exported: "
            f"{', '.join(exports)}",
            hint=f"'qemu export stop {paths.name} {which}' ends that",
        )


def _refuse(paths: InstancePaths, exports: list[Export]) -> None:
    if exports:
        names = [export.name for export in exports]
        raise StateError(
            f"'{paths.name}' is being exported: {', '.join(names)}",
            hint=f"'qemu export stop {paths.name} {' '.join(names)}' ends "
            "that",
        )
