"""What the commands on images have in common."""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from qemu_cli.columns import Named, Size, plain
from qemu_cli.command.times import ago
from qemu_cli.units import format_size

if TYPE_CHECKING:
    from qemu_cli.instance.images.subject import Layer, Subject, Use
    from qemu_cli.storage.holders import Holder
    from qemu_cli.storage.images import Bitmap, ImageInfo, Snapshot

Row = tuple[Sequence[str], Sequence[Any]]

FORMAT = "qcow2"


def formats() -> tuple[str, ...]:
    """The formats that an image can have."""
    from qemu_cli.instance.model import ImageFormat

    return get_args(ImageFormat)


def add_image(
    parser: argparse.ArgumentParser,
    name: str = "file",
    option: str = "--image-format",
    help: str = "an image",
) -> None:
    """Add an image that is there, and an option for its format."""
    parser.add_argument(name, metavar=name.upper(), type=Path, help=help)
    parser.add_argument(
        option,
        metavar="FORMAT",
        choices=formats(),
        help=f"the format of {name.upper()} (default: as an instance has"
        " stored it, else as it is recognized)",
    )


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Add ``--trust-image``."""
    parser.add_argument(
        "--trust-image",
        action="store_true",
        help="read the other files that it names, too: its backing file, "
        "its data file",
    )


def add_new_format(
    parser: argparse.ArgumentParser, option: str, name: str
) -> None:
    """Add an option for the format of an image that is made."""
    parser.add_argument(
        option,
        dest="new_format",
        metavar="FORMAT",
        choices=formats(),
        help=f"the format of {name}: {', '.join(formats())} (default: the"
        f" ending of its name, if that is one of them, else {FORMAT})",
    )


def new_format(args: argparse.Namespace, path: Path) -> str:
    """The format of an image that is made."""
    ending = path.suffix.removeprefix(".")
    chosen: str | None = args.new_format
    return chosen or (ending if ending in formats() else FORMAT)


def made(image: "ImageInfo") -> Row:
    """Names and values of an image that was made."""
    row = facts(image)
    return list(row), list(row.values())


def facts(image: "ImageInfo") -> dict[str, Any]:
    """All that one image says of itself, in the order of its keys."""
    return {
        "file": image.path,
        "format": image.format,
        "virtual_size_bytes": Size(image.virtual_size_bytes),
        "actual_size_bytes": Size(image.actual_size_bytes),
        "cluster_size_bytes": Size(image.cluster_size_bytes),
        "backing_file": image.backing_file,
        "backing_format": image.backing_format,
        "data_file": image.data_file,
        "extents": list(image.extents),
        "flags": [
            flag
            for flag in ("encrypted", "dirty", "corrupt")
            if getattr(image, flag)
        ],
        "snapshots": lines(image.snapshots, map(_snapshot, image.snapshots)),
        "bitmaps": lines(image.bitmaps, map(_bitmap, image.bitmaps)),
    }


def users(subject: "Subject") -> dict[str, Named]:
    """Who has to do with an image."""
    return {
        "used_by": lines(
            [use._asdict() for use in subject.uses],
            map(_use, subject.uses),
        ),
        "open_by": lines(
            [holder._asdict() for holder in subject.open_by],
            map(_holder, subject.open_by),
        ),
    }


def lines(data: Any, lines: Iterable[str]) -> Named:
    """Nested data for programs, a line for each part for people."""
    return Named(plain(data), "\n".join(lines))


def chain(layers: "Sequence[Layer]") -> Named:
    """A backing chain, active layer first."""
    return lines(list(map(_layer_data, layers)), map(_layer, layers))


def _layer_data(layer: "Layer") -> dict[str, Any]:
    image = plain(facts(layer.image)) if layer.image else {}
    return {**image, "file": layer.file, "problem": layer.problem}


def _layer(layer: "Layer") -> str:
    if layer.image is None:
        return f"{layer.file}: {layer.problem or 'no file of this host'}"
    image = layer.image
    return (
        f"{layer.file} ({image.format}, "
        f"{format_size(image.actual_size_bytes)} used)"
    )


def _snapshot(snapshot: "Snapshot") -> str:
    memory = snapshot.vm_state_size_bytes
    what = f", {format_size(memory)} of memory" if memory else ""
    return f"{snapshot.name} ({ago(snapshot.date_s)}{what})"


def _bitmap(bitmap: "Bitmap") -> str:
    state = "in use" if bitmap.in_use else "recording"
    if not (bitmap.in_use or bitmap.recording):
        state = "not recording"
    return f"{bitmap.name} ({state})"


def _use(use: "Use") -> str:
    return f"'{use.vm}': {use.part}"


def _holder(holder: "Holder") -> str:
    return f"{holder}, {'writes' if holder.writes else 'reads'}"
