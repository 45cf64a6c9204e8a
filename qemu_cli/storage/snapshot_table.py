"""The internal snapshots of a qcow2 image, read from the file itself.

As with :mod:`qemu_cli.storage.header`: no process, no lock, and also
while a VM writes to the image.  Layout: docs/interop/qcow2.txt in QEMU's
sources, "Snapshots"; all numbers are big-endian.
"""

import struct
from pathlib import Path
from typing import BinaryIO

from qemu_cli.errors import QemuCliError
from qemu_cli.storage.images import Snapshot

_MAGIC = b"QFI\xfb"
_WHERE_AT = 60
_WHERE = struct.Struct(">IQ")  # how many there are, and where
#: Of each: L1 table, its size, lengths of id and name, date in s and ns,
#: guest clock, size of the VM state in 32 bits, length of the extra data.
_ENTRY = struct.Struct(">QIHHIIQII")
#: The extra data begin with that size in 64 bits, and the disk's; images
#: of version 2 may lack one or both.
_STATE_SIZE = struct.Struct(">Q")
_DISK_SIZE = struct.Struct(">8xQ")
_EXTRA_MAX = 1024  # QEMU's own limits, in block/qcow2.h
_SNAPSHOTS_MAX = 65536

#: A VM may put the table elsewhere while it is being read.
_TRIES = 3


def read(path: Path) -> tuple[Snapshot, ...]:
    """Read the internal snapshots of an image, oldest first.

    :return: none if the file is no qcow2 image
    :raise OSError: when it can't be read
    :raise QemuCliError: when the table is damaged
    """
    problem: Exception | None = None
    for _ in range(_TRIES):
        with path.open("rb") as stream:
            if stream.read(len(_MAGIC)) != _MAGIC:
                return ()
            try:
                count, offset = _unpack(stream, _WHERE_AT, _WHERE)
                if count > _SNAPSHOTS_MAX:
                    raise ValueError("too many snapshots")
                stream.seek(offset)
                return tuple(_entry(stream) for _ in range(count))
            except (struct.error, ValueError, OverflowError) as error:
                problem = error
    raise QemuCliError(
        f"{path} has a damaged table of snapshots: {problem}",
        hint=f"qemu-img check {path}",
    )


def _entry(stream: BinaryIO) -> Snapshot:
    start = stream.tell()
    fixed = _ENTRY.unpack(_exactly(stream, _ENTRY.size))
    _, _, id_length, name_length, date_s, _, _, size_bytes, extra = fixed
    if extra > _EXTRA_MAX:
        raise ValueError("too much extra data")
    data = _exactly(stream, extra)
    if extra >= _STATE_SIZE.size:
        (size_bytes,) = _STATE_SIZE.unpack_from(data)
    disk_bytes = None
    if extra >= _DISK_SIZE.size:
        (disk_bytes,) = _DISK_SIZE.unpack_from(data)
    id = _exactly(stream, id_length)
    name = _exactly(stream, name_length)
    length = stream.tell() - start
    stream.seek(start + (length + 7) // 8 * 8)
    return Snapshot(_text(id), _text(name), size_bytes, date_s, disk_bytes)


def _unpack(
    stream: BinaryIO, offset: int, layout: struct.Struct
) -> tuple[int, ...]:
    stream.seek(offset)
    return layout.unpack(_exactly(stream, layout.size))


def _exactly(stream: BinaryIO, length: int) -> bytes:
    data = stream.read(length)
    if len(data) != length:
        raise ValueError("the file ends too early")
    return data


def _text(name: bytes) -> str:
    return name.decode(errors="backslashreplace")
