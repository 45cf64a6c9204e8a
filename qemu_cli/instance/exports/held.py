"""What must stay as it is, because somebody is served with it."""

from qemu_cli.errors import StateError
from qemu_cli.instance import process
from qemu_cli.instance.exports import records
from qemu_cli.instance.exports.model import Export
from qemu_cli.paths import InstancePaths


def in_use(paths: InstancePaths) -> list[Export]:
    """Find what daemons serve of an instance's disks as they are now.

    As long as they do, its QEMU can't be started and its images must not
    be changed.  (What a running QEMU serves, it protects itself.)
    """
    return [
        export
        for export in _served_by_daemons(paths)
        if export.snapshot is None
    ]


def holds(paths: InstancePaths) -> dict[str, list[str]]:
    """Find the snapshots that are served.

    :return: by the snapshot's key, the names of its exports
    """
    found: dict[str, list[str]] = {}
    for export in _served_by_daemons(paths):
        if export.snapshot is not None:
            found.setdefault(export.snapshot, []).append(export.name)
    return found


def check_unused(paths: InstancePaths) -> None:
    """Refuse what changes the disks while they are served.

    :raise StateError: they are; names the exports
    """
    exports = in_use(paths)
    if exports:
        raise StateError(
            f"disks of '{paths.name}' are being exported: {_names(exports)}",
            hint=f"'qemu export stop {paths.name}' ends that",
        )


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


def _served_by_daemons(paths: InstancePaths) -> list[Export]:
    return [
        export
        for export in records.read(paths)
        if export.server == "daemon"
        and process.running(paths.daemon_pid_file(export.id))
    ]


def _names(exports: list[Export]) -> str:
    return ", ".join(export.name for export in exports)
