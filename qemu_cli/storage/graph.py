"""The block graph of a running QEMU: which device reads what, from where.

A disk's active node is called as its device only until the first
overlay, mirror or commit, and nodes of a ``-drive`` never are: so names
are looked up here at each use, and never guessed.

``query-named-block-nodes`` tells everything but who stands on whom; that
comes from ``x-debug-query-block-graph``, which is unstable in name, and
is in every QEMU that we know.  (qapi/block-core.json)
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from qemu_cli.errors import NotFoundError
from qemu_cli.steps.nodes import file_of

if TYPE_CHECKING:
    from qemu_cli.qmp.session import Session

#: Drivers that stand between a device and its image for a while.
FILTERS = frozenset(
    {
        "blkdebug",
        "copy-before-write",
        "copy-on-read",
        "preallocate",
        "throttle",
        "mirror_top",
        "commit_top",
        "snapshot-access",
    }
)

#: Where devices are that were given an id (QOM).
_GIVEN = "/machine/peripheral/"

#: The child that a node reads what it does not hold itself from.
_BELOW = ("backing", "file")


class Node(NamedTuple):
    """One block node.

    :param driver: ``qcow2``, ``raw``, ``file``, ``copy-before-write`` …
    :param file: the name of the file behind it
    :param virtual_size_bytes: what the guest sees
    :param children: names of nodes by what they are to this one
    :param snapshots: names of the internal snapshots inside of it
    :param bitmaps: names of its dirty bitmaps; temporary ones have none
    """

    name: str
    driver: str
    file: str
    virtual_size_bytes: int
    actual_size_bytes: int
    read_only: bool
    children: Mapping[str, str]
    snapshots: tuple[str, ...] = ()
    bitmaps: tuple[str, ...] = ()


class Device(NamedTuple):
    """One block device of the guest.

    :param qdev: QEMU's name for it, to be passed back (``query-block``)
    :param id: the id that it was given, as in ``disk0``; else that of its
        ``-drive``, as in ``virtio0``; else the last part of its place, as
        in ``system.flash1``
    :param node: its topmost node; None: no medium
    :param plugged: false: a ``-drive`` that no device uses
    """

    qdev: str
    id: str
    node: str | None
    removable: bool
    plugged: bool = True


class Graph(NamedTuple):
    """All devices and all nodes."""

    devices: tuple[Device, ...]
    nodes: Mapping[str, Node]

    def device(self, id: str) -> Device:
        """Return the device of an id.

        :raise NotFoundError: the guest has none of that id
        """
        for device in self.devices:
            if device.id == id:
                return device
        raise NotFoundError(f"the VM has no device '{id}'")

    def chain(self, device: Device) -> tuple[Node, ...]:
        """The layers that a device reads, active layer first.

        Filters in between are left out: see :meth:`filters`.
        """
        return tuple(
            node for node in self._down(device) if node.driver not in FILTERS
        )

    def filters(self, device: Device) -> tuple[Node, ...]:
        """The filters that stand between a device and its layers."""
        return tuple(
            node for node in self._down(device) if node.driver in FILTERS
        )

    def active(self, device: Device) -> Node:
        """Return the active layer.

        :raise NotFoundError: there is no medium
        """
        chain = self.chain(device)
        if not chain:
            raise NotFoundError(f"there is no medium in '{device.id}'")
        return chain[0]

    def of_file(self, file: Path) -> tuple[Node, ...]:
        """The layers that are in a file, under whatever name."""
        return tuple(
            node
            for node in self.nodes.values()
            if not self._is_protocol(node) and _same(node.file, file)
        )

    def _down(self, device: Device) -> Iterable[Node]:
        name = device.node
        while name is not None:
            node = self.nodes[name]
            yield node
            if node.driver in FILTERS:
                name = self._below(node, *_BELOW)
            else:
                name = self._below(node, "backing")

    @staticmethod
    def _below(node: Node, *kinds: str) -> str | None:
        for kind in kinds:
            if kind in node.children:
                return node.children[kind]
        return None

    @staticmethod
    def _is_protocol(node: Node) -> bool:
        return not node.children or node.driver in FILTERS


async def read(session: "Session") -> Graph:
    """Ask a QEMU for its block graph.

    Both questions are asked in one exchange: between two, a job could
    end and take its nodes along.

    :raise QemuCliError: QEMU did not answer
    """
    async with session.exchange():
        nodes = await session.execute(
            "query-named-block-nodes", {"flat": True}
        )
        blocks = await session.execute("query-block")
        edges = await session.execute("x-debug-query-block-graph")
    return build(blocks, nodes, edges)


def build(
    blocks: Sequence[Mapping[str, Any]],
    nodes: Sequence[Mapping[str, Any]],
    edges: Mapping[str, Any],
) -> Graph:
    """Put three replies of QEMU together.  Pure."""
    names = {node["id"]: node["name"] for node in edges["nodes"]}
    drivers = {
        node["id"] for node in edges["nodes"] if node["type"] == "block-driver"
    }
    children: dict[str, dict[str, str]] = {}
    for edge in edges["edges"]:
        if edge["parent"] in drivers:
            parent = children.setdefault(names[edge["parent"]], {})
            parent[edge["name"]] = names[edge["child"]]
    found = {
        node["node-name"]: _node(node, children.get(node["node-name"], {}))
        for node in nodes
    }
    devices = tuple(
        Device(
            qdev=block.get("qdev") or block["device"],
            id=device_id(block),
            node=block.get("inserted", {}).get("node-name"),
            removable=block["removable"],
            plugged=bool(block.get("qdev")),
        )
        for block in blocks
    )
    return Graph(devices, found)


def _node(raw: Mapping[str, Any], children: Mapping[str, str]) -> Node:
    image = raw["image"]
    return Node(
        name=raw["node-name"],
        driver=raw["drv"],
        file=file_of(raw),
        virtual_size_bytes=image["virtual-size"],
        actual_size_bytes=image.get("actual-size", 0),
        read_only=raw["ro"],
        children=children,
        snapshots=tuple(each["name"] for each in image.get("snapshots", ())),
        bitmaps=tuple(
            each["name"]
            for each in raw.get("dirty-bitmaps", ())
            if each.get("name")
        ),
    )


def device_id(block: Mapping[str, Any]) -> str:
    """How people call the device of ``query-block``, ``query-blockstats``."""
    place, drive = str(block.get("qdev", "")), str(block["device"])
    given = place and (place[0] != "/" or place.startswith(_GIVEN))
    if drive and not given:
        return drive
    return place.removesuffix("/virtio-backend").rpartition("/")[2]


def _same(name: str, file: Path) -> bool:
    try:
        return Path(name).samefile(file)
    except OSError:
        return False
