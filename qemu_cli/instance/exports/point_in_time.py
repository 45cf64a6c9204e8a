"""The nodes that keep a disk as it was, and show it.  All pure.

::

    device ─ filter (copy-before-write) ─ active layer
                  │ target
                  scratch                 what the guest overwrites
    client ─ access (snapshot-access) ─ filter

The scratch file is bounded: its image lies in a ``raw`` node of a fixed
size.  When it is full the guest goes on, and the export can't be read any
more (``on-cbw-error: break-snapshot``).

An older QEMU (seen: 7.2.22; right: 10.0) takes a range that begins in
what was copied and goes on in what was not for one that was not copied
(``hbitmap_status``), and gives to clients what the guest has written
since; the same with what it says of holes.  There two nodes more stand
between client and access: ``whole``, a ``blkdebug`` that asks for one
whole cluster of the scratch image at a time, and ``view``, a ``qcow2``
whose data is ``whole`` and that has no holes.
"""

from typing import Any

from qemu_cli.instance.exports.model import Export
from qemu_cli.instance.exports.running import DiskFacts
from qemu_cli.steps import AnyStep, Qmp, Remove, Tool
from qemu_cli.steps.block import AddNode
from qemu_cli.storage import qemu_img

#: The least that an image without any content needs, and some content.
SCRATCH_MIN = 4 << 20

#: What is copied at once.  Where clients read one cluster at a time, that
#: is as much as they mostly ask for.
CLUSTER = 1 << 16
CLUSTER_WHOLE = 1 << 18


def names(id: str, *, torn: bool, writable: bool) -> tuple[str, ...]:
    """Name the nodes above the filter, topmost first.

    :param torn: QEMU reads wrong, see above
    """
    return (
        *((f"{id}-top",) if writable else ()),
        *((f"{id}-view", f"{id}-whole") if torn else ()),
        f"{id}-access",
    )


def keep(
    tool: str,
    export: Export,
    disk: DiskFacts,
    *,
    limit: int,
    torn: bool,
    bitmap: str | None,
) -> list[AnyStep]:
    """The steps up to the moment, when the device gets the filter.

    :param limit: how much the scratch file may take, in bytes
    :param bitmap: a bitmap of this name is made, to be filled then
    """
    assert export.target is not None  # noqa: S101
    scratch, size = export.files[0], export.size_bytes
    cluster = CLUSTER_WHOLE if torn else CLUSTER
    steps = [
        *_make(tool, scratch, size, limit, cluster),
        AddNode(_image(export.target, scratch, limit)),
        AddNode(
            {
                "driver": "copy-before-write",
                "node-name": export.filter,
                "file": disk.node,
                "target": export.target,
                "on-cbw-error": "break-snapshot",
                "discard": "unmap",  # or it would swallow the guest's
            }
        ),
    ]
    if bitmap is not None:  # it goes with its node
        arguments = {"node": export.target, "name": bitmap, "disabled": True}
        steps.append(Qmp("block-dirty-bitmap-add", arguments))
    return steps


def show(tool: str, export: Export, *, limit: int) -> list[AnyStep]:
    """The steps after the moment; the first node can be served then."""
    _, *files = export.files
    nodes = list(reversed(export.nodes))
    access = nodes.pop(0)
    options: dict[str, Any] = {"driver": "snapshot-access"}
    steps: list[AnyStep] = [
        AddNode({**options, "node-name": access, "file": export.filter})
    ]
    seen = access
    if f"{export.id}-whole" in nodes:
        whole, seen = nodes.pop(0), nodes.pop(0)
        steps += _view(tool, export, access, whole, seen, files.pop(0))
    if nodes:
        steps += _make(tool, files[0], export.size_bytes, limit, CLUSTER)
        top = _image(nodes[0], files[0], limit)
        steps.append(AddNode({**top, "backing": seen}))
    return steps


def _view(
    tool: str, export: Export, access: str, whole: str, view: str, file: str
) -> list[AnyStep]:
    data = f"{file}.data"
    size = str(export.size_bytes)
    create = qemu_img.create_view_argv(tool, file, data, export.size_bytes)
    return [
        AddNode(
            {
                "driver": "blkdebug",
                "node-name": whole,
                "image": access,
                "align": CLUSTER_WHOLE,
                "max-transfer": CLUSTER_WHOLE,
            }
        ),
        Tool(("truncate", "--size", size, "--", data), creates=data),
        Tool(create, creates=file),
        Remove(data),
        AddNode(
            {
                "driver": "qcow2",
                "node-name": view,
                "read-only": True,
                "data-file": whole,
                "file": {
                    "driver": "file",
                    "filename": file,
                    "read-only": True,
                },
            }
        ),
    ]


def _make(
    tool: str, file: str, size_bytes: int, limit: int, cluster: int
) -> list[AnyStep]:
    """Make an image whose file can't grow."""
    create = qemu_img.create_argv(
        tool, file, size_bytes, "qcow2", cluster_bytes=cluster
    )
    return [
        Tool(create, creates=file),
        Tool(("truncate", "--size", str(limit), "--", file)),
    ]


def _image(node: str, file: str, limit: int) -> dict[str, Any]:
    return {
        "driver": "qcow2",
        "node-name": node,
        "discard": "unmap",
        # It is worth nothing without its QEMU.
        "cache": {"no-flush": True},
        "file": {
            "driver": "raw",
            "size": limit,
            "file": {"driver": "file", "filename": file, "discard": "unmap"},
        },
    }
