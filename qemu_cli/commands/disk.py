"""qemu disk list and info."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qemu_cli.columns import Named, Names, Size, plain
from qemu_cli.command import Lister, ShowOne
from qemu_cli.command.display import Table
from qemu_cli.ui import printable

if TYPE_CHECKING:
    from qemu_cli.instance.disks.chains import Chain, Layer

_COLUMNS = (
    *("disk", "kind", "bus", "slot", "depth", "file", "format"),
    *("virtual_size_bytes", "actual_size_bytes", "node", "read_only"),
    *("snapshots", "problem"),
)


class DiskList(Lister):
    """List the disks of a VM, each with its whole backing chain.

    A disk's first line is its active layer, which the guest writes to;
    the lines below it are what that stands on, one under the other.  Of
    a running VM, QEMU's node-names are shown.
    """

    examples = (
        "qemu disk list web",
        "qemu disk list web -f json",
        "qemu disk list web --columns disk,file,snapshots",
    )
    table_columns = (
        *("disk", "file", "format", "virtual_size_bytes"),
        *("actual_size_bytes", "node", "problem"),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="a VM")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Table:
        from qemu_cli.command import loop
        from qemu_cli.instance.disks.chains import chains
        from qemu_cli.instance.resolve import resolve

        self.chosen(parsed_args, _COLUMNS)
        host = self.app.host
        vm = resolve(host.paths, parsed_args.name, probe=host.probe)
        found = loop.run(chains(self.app.host_of(vm), vm))
        here = vm.paths.directory
        return _COLUMNS, [row for each in found for row in _rows(each, here)]


class DiskInfo(ShowOne):
    """Show everything that is known about one disk."""

    examples = (
        "qemu disk info web disk0",
        "qemu disk info web disk0 -f json",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="a VM")
        parser.add_argument("disk", metavar="DISK", help="such as disk0")
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        from qemu_cli.command import loop
        from qemu_cli.instance.disks.chains import chain
        from qemu_cli.instance.resolve import resolve

        host = self.app.host
        vm = resolve(host.paths, parsed_args.name, probe=host.probe)
        work = chain(self.app.host_of(vm), vm, parsed_args.disk)
        row = _details(loop.run(work))
        return list(row), list(row.values())


def _rows(chain: "Chain", here: Path) -> Iterator[tuple[Any, ...]]:
    """A row for each layer; one for a disk without."""
    device = chain.device
    bus, slot = getattr(device, "bus", None), device and device.slot
    front = (chain.id, chain.kind, bus, slot)
    if not chain.layers:
        nothing = (None,) * 4
        problem = chain.problem or ("empty" if device else None)
        yield (*front, 0, None, *nothing, None, Names([]), problem)
        return
    for depth, layer in enumerate(chain.layers):
        yield (
            Named(chain.id, chain.id if not depth else ""),
            *front[1:],
            depth,
            Named(layer.file, _drawn(layer, depth, here)),
            layer.format,
            Size(layer.virtual_size_bytes),
            Size(layer.actual_size_bytes),
            layer.node,
            layer.read_only,
            Names(layer.snapshots),
            layer.problem or (chain.problem if not depth else None),
        )


def _drawn(layer: "Layer", depth: int, here: Path) -> str:
    path = Path(layer.file)
    inside = path.is_relative_to(here)
    name = str(path.relative_to(here)) if inside else layer.file
    return f"{'  ' * (depth - 1)}└ {name}" if depth else name


def _details(chain: "Chain") -> dict[str, Any]:
    device = chain.device
    top = chain.layers[0] if chain.layers else None
    throttle = getattr(device, "throttle", None)
    return {
        "disk": chain.id,
        "kind": chain.kind,
        "problem": chain.problem or (top and top.problem),
        "bus": getattr(device, "bus", None),
        "slot": device and device.slot,
        "cache": getattr(device, "cache", None),
        "read_only": getattr(device, "read_only", chain.kind == "cdrom"),
        "throttle": throttle and Named(plain(throttle), _words(throttle)),
        "file": top and top.file,
        "format": top and top.format,
        "virtual_size_bytes": Size(top.virtual_size_bytes) if top else None,
        "actual_size_bytes": Size(top.actual_size_bytes) if top else None,
        "node": top and top.node,
        "snapshots": Names(top.snapshots if top else []),
        "bitmaps": Names(top.bitmaps if top else []),
        "filters": Names(chain.filters),
        "chain": Named(
            plain(chain.layers),
            "\n".join(
                printable(layer.file)
                + (f" ({layer.problem})" if layer.problem else "")
                for layer in chain.layers
            ),
        ),
    }


def _words(throttle: Any) -> str:
    return "\n".join(
        f"{key}: {value}" for key, value in plain(throttle).items() if value
    )
