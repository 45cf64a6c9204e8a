"""Images for the tests, and what qemu says of them."""

import struct
import subprocess
from pathlib import Path

from qemu_cli.testing.home import Result

MIB = 1 << 20


def qemu_io(image: Path, *commands: str, format: str = "qcow2") -> None:
    words = [word for each in commands for word in ("-c", each)]
    subprocess.run(
        ["qemu-io", "-f", format, *words, image],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def ok(result: Result) -> Result:
    assert result.rc == 0, result.err
    return result


def follow(image: Path, *places: int) -> int:
    """Follow 8-byte pointers in an image (docs/interop/qcow2.txt)."""
    at = 0
    with image.open("rb") as stream:
        for place in places:
            stream.seek(at + place)
            (at,) = struct.unpack(">Q", stream.read(8))
            at &= 0x00FFFFFFFFFFFE00
    return at


def lose(image: Path) -> None:
    """Make an image leak its first data cluster."""
    first_l2_table = follow(image, 40, 0)
    with image.open("r+b") as stream:
        stream.seek(first_l2_table)
        stream.write(bytes(8))


SMALL = ("--memory", "64M", "--accel", "tcg", "--nic", "none")
