"""The records of what is served: a file each, beside the sockets."""

import contextlib
import itertools
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import msgspec

from qemu_cli.instance.exports.model import Export
from qemu_cli.paths import InstancePaths
from qemu_cli.steps import AnyStep, WriteFile


def read(paths: InstancePaths) -> list[Export]:
    """Read all records of an instance, oldest first.

    One that can't be read is as good as none: whoever serves it knows.
    """
    found = []
    for file in _files(paths):
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            export = msgspec.json.decode(file.read_bytes(), type=Export)
            found.append(export)
    return sorted(found, key=lambda e: (e.created, len(e.id), e.id))


def write(paths: InstancePaths, exports: Iterable[Export]) -> list[AnyStep]:
    """The steps that write records.  Pure."""
    return [
        WriteFile(
            str(file_of(paths, export)),
            msgspec.json.encode(export).decode() + "\n",
            mode=0o600,
        )
        for export in exports
    ]


def file_of(paths: InstancePaths, export: Export) -> Path:
    """Name the file of a record."""
    return paths.exports / f"{export.id}.json"


def new_ids(taken: Collection[str]) -> Iterator[str]:
    """Name ids that nobody has: short, for they are in names of sockets."""
    for number in itertools.count(1):
        if (id := f"e{number}") not in taken:
            yield id


def forget_run(paths: InstancePaths) -> None:
    """Remove what belongs to exports of a QEMU that has ended."""
    for export in read(paths):
        if export.server == "qemu" and export.listener is None:
            for name in export.files:
                _remove(paths, Path(name))
            file_of(paths, export).unlink(missing_ok=True)


def _remove(paths: InstancePaths, file: Path) -> None:
    # A record is a file that anybody of this user may have written.
    if file.parent == paths.directory:
        file.unlink(missing_ok=True)


def _files(paths: InstancePaths) -> list[Path]:
    try:
        return list(paths.exports.glob("*.json"))
    except OSError:
        return []
