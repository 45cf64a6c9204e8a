"""Reading what a qcow2 header says about other files.

A few microseconds instead of a qemu-img process, and no lock is asked
for: the header may be read while a VM writes to the image.  Layout:
docs/interop/qcow2.txt in QEMU's sources; all numbers are big-endian.
"""

import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

from qemu_cli.errors import QemuCliError

_MAGIC = b"QFI\xfb"
_START = struct.Struct(">4sIQI")  # magic, version, backing offset and size
_EXTENSION = struct.Struct(">II")  # type, length; data padded to 8 bytes
_NEWEST = 3
_V2_LENGTH = 72
_V3_LENGTH_AT = 100
_BACKING_NAME_MAX = 1023
_EXTENSION_MAX = 4096  # a format's or a file's name; bitmaps are longer
_END, _BACKING_FORMAT, _DATA_FILE = 0, 0xE2792ACA, 0x44415441


class Header(NamedTuple):
    """The other files that a qcow2 image needs, by name as stored.

    :param version: of the format: 2, which is old, or 3
    """

    backing_file: str | None
    backing_format: str | None
    data_file: str | None
    version: int = _NEWEST


def read(path: Path) -> Header | None:
    """Read the header of an image.

    :return: None when the file is no qcow2 image
    :raise OSError: when it can't be read
    :raise QemuCliError: when the header is damaged
    """
    with path.open("rb") as stream:
        start = stream.read(_START.size)
        if not start.startswith(_MAGIC):
            return None
        try:
            _, version, offset, size = _START.unpack(start)
            if size > _BACKING_NAME_MAX:
                raise ValueError("backing file name too long")
            stream.seek(offset)
            backing = _exactly(stream, size if offset else 0)
            extensions = _extensions(stream, version)
        except (struct.error, ValueError, OverflowError) as error:
            raise QemuCliError(
                f"{path} has a damaged qcow2 header: {error}",
                hint=f"qemu-img check {path}",
            ) from error
    return Header(
        backing_file=_text(backing),
        backing_format=_text(extensions.get(_BACKING_FORMAT)),
        data_file=_text(extensions.get(_DATA_FILE)),
        version=version,
    )


def _extensions(stream: BinaryIO, version: int) -> dict[int, bytes]:
    """Read the names among the header extensions, by their type."""
    position = _V2_LENGTH
    if version >= 3:
        stream.seek(_V3_LENGTH_AT)
        (position,) = struct.unpack(">I", _exactly(stream, 4))
    found: dict[int, bytes] = {}
    while True:
        stream.seek(position)
        kind, length = _EXTENSION.unpack(_exactly(stream, _EXTENSION.size))
        if kind == _END:
            return found
        if kind in (_BACKING_FORMAT, _DATA_FILE):
            if length > _EXTENSION_MAX:
                raise ValueError("header extension too long")
            found[kind] = _exactly(stream, length)
        position += _EXTENSION.size + (length + 7) // 8 * 8


def _exactly(stream: BinaryIO, length: int) -> bytes:
    data = stream.read(length)
    if len(data) != length:
        raise ValueError("the file ends too early")
    return data


def _text(name: bytes | None) -> str | None:
    return name.decode(errors="surrogateescape") if name else None
