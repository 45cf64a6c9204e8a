"""Where the parts of an image are: in which layer, data or zeros."""

import json
from pathlib import Path
from typing import Literal, NamedTuple

from qemu_cli.steps import run_tool
from qemu_cli.storage import holders
from qemu_cli.storage.qemu_img import map_argv


class Extent(NamedTuple):
    """A part of an image that is alike (QAPI MapEntry).

    :param depth: the layer that it is read from; 0 is the active layer
    :param kind: ``data``; ``zero``: a layer says that it reads as zeros;
        ``nothing``: nobody has ever written to it, and it does, too
    :param offset_bytes: where it is in the layer's file; None: it is
        nowhere, or compressed
    """

    start_bytes: int
    length_bytes: int
    depth: int
    kind: Literal["data", "zero", "nothing"]
    offset_bytes: int | None


async def read(
    qemu_img: str, path: Path, format: str, *, shared: bool = False
) -> list[Extent]:
    """Read the map of an image with its backing chain, from its start.

    :param shared: take no locks: a VM may be writing to it
    :raise BusyError: somebody has it locked
    :raise ToolError: with qemu-img's words
    """
    argv = map_argv(qemu_img, path, format, shared=shared)
    with holders.naming(path):
        found = json.loads(await run_tool(argv))
    return [
        Extent(
            start_bytes=entry["start"],
            length_bytes=entry["length"],
            depth=entry["depth"],
            kind=_kind(entry["data"], entry.get("present", True)),
            offset_bytes=entry.get("offset"),
        )
        for entry in found
    ]


def _kind(data: bool, present: bool) -> Literal["data", "zero", "nothing"]:
    if data:
        return "data"
    return "zero" if present else "nothing"
