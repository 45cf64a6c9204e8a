"""Which layers are merged when nobody names them any more.  Pure.

A layer that nobody names is merged with the one that stands on it, in the
direction that moves less: that one is *committed* down into it and takes
its place, or it is *pulled* up into that one.  With several on it, it is
pulled into all but the last of them.

Some layers have to stay, see :func:`kept`: an internal snapshot reads
from all that its image stands on, so nothing below it may change.

UEFI variables are always pulled.  The end of a commit holds writes up
until it is told to go over; the flash writes synchronously, in a CPU's
thread that holds QEMU's big lock, and QEMU would never hear that.
(seen: 7.2.22; hw/block/pflash_cfi01.c, block/mirror.c)
"""

from typing import Literal, NamedTuple

import msgspec

from qemu_cli.instance.model import NVRAM_ID
from qemu_cli.instance.snapshots.layers import LayerFile, Layers

_COMMITTED_INTO = ("qcow2", "raw")


class Merge(NamedTuple):
    """One merge.

    :param top: the layer above those that nobody names
    :param run: those, from the top; a committed one takes the place of
        the last of them
    :param above: what stands on ``top``
    :param gone: files that nobody needs after it
    """

    kind: Literal["commit", "pull"]
    top: LayerFile
    run: tuple[LayerFile, ...]
    above: tuple[LayerFile, ...]
    gone: tuple[LayerFile, ...]

    @property
    def base(self) -> LayerFile:
        """The last of the run."""
        return self.run[-1]

    @property
    def moved_bytes(self) -> int:
        """How much is copied, at most."""
        moved = self.run
        if self.kind == "commit":
            moved = (self.top, *self.run[:-1])
        return sum(layer.actual_size_bytes for layer in moved)


def merges(layers: Layers) -> list[tuple[Merge, Layers]]:
    """All merges, in their order; with each, the layers after it."""
    found = []
    while merge := _next(layers):
        layers = _after(layers, merge)
        found.append((merge, layers))
    return found


def kept(layers: Layers) -> dict[LayerFile, str]:
    """The layers that nobody names and that stay nevertheless, and why."""
    found: dict[LayerFile, str] = {}
    for file in layers.live:
        if why := _holds(layers, layers.files[file]):
            for each in layers.chain(file):
                if each not in layers.named and layers.is_inside(each):
                    found.setdefault(layers.files[each], why)
    return found


def _holds(layers: Layers, layer: LayerFile) -> str | None:
    """Why a layer, and all that is below it, must stay as it is."""
    name = layer.file.name
    if users := layers.users.get(layer.file):
        who = ", ".join(f"'{user}'" for user in users)
        return f"{who} stands on {name}"
    if layer.tags:
        tags = ", ".join(f"'{tag}'" for tag in sorted(layer.tags))
        return f"the internal snapshots {tags} in {name} need it"
    if not layers.is_inside(layer.file):
        return f"{layer.file} is outside of the VM's directory"
    if layer.backing and layer.format != "qcow2":
        return f"{name} is an overlay of format {layer.format}"
    if layer.backing and not layer.backing_format:
        return f"{name} does not say of which format {layer.backing} is"
    return None


def _next(layers: Layers) -> Merge | None:
    stay = {layer.file for layer in kept(layers)}
    live = layers.live
    movable = {
        file
        for file in live
        if file not in layers.named
        and file not in stay
        and layers.is_inside(file)
    }
    tops = [
        layers.files[file]
        for file in live
        if file not in movable and layers.files[file].below in movable
    ]
    if not tops:
        return None
    # The last one of several may be committed: let it be the smallest.
    top = max(tops, key=lambda each: (each.actual_size_bytes, each.file))
    run = []
    for file in layers.chain(top.file)[1:]:
        if file not in movable:
            break
        run.append(layers.files[file])
    merge = Merge("pull", top, tuple(run), layers.above(top.file), ())
    committed = merge._replace(kind="commit", gone=(top, *run[:-1]))
    if (
        all(len(layers.above(each.file)) == 1 for each in run)
        and committed.moved_bytes < merge.moved_bytes
        and merge.base.format in _COMMITTED_INTO
        and merge.base.virtual_size_bytes <= top.virtual_size_bytes
        and not top.has_bitmaps
        and top.id != NVRAM_ID
    ):
        return committed
    left = _pulled(layers, merge).live
    gone = tuple(each for each in run if each.file not in left)
    return merge._replace(gone=gone)


def _after(layers: Layers, merge: Merge) -> Layers:
    if merge.kind == "pull":
        after = _pulled(layers, merge)
    else:
        after = _committed(layers, merge)
    gone = {each.file for each in merge.gone}
    files = {f: each for f, each in after.files.items() if f not in gone}
    return after._replace(files=files)


def _pulled(layers: Layers, merge: Merge) -> Layers:
    top = msgspec.structs.replace(
        merge.top,
        actual_size_bytes=merge.top.actual_size_bytes + merge.moved_bytes,
        below=merge.base.below,
        backing=merge.base.backing,
        backing_format=merge.base.backing_format,
    )
    return layers._replace(files={**layers.files, top.file: top})


def _committed(layers: Layers, merge: Merge) -> Layers:
    base = msgspec.structs.replace(
        merge.base,
        actual_size_bytes=merge.base.actual_size_bytes + merge.moved_bytes,
        virtual_size_bytes=merge.top.virtual_size_bytes,
    )
    above = {
        each.file: msgspec.structs.replace(
            each,
            below=base.file,
            backing=f"./{base.file.name}",
            backing_format=base.format,
        )
        for each in merge.above
    }
    named = layers.named
    if merge.top.file in named:
        named = named - {merge.top.file} | {base.file}
    return layers._replace(
        files={**layers.files, base.file: base, **above}, named=named
    )
