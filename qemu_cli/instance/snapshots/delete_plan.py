"""From snapshots that are to go to the plans that do it.  Pure.

First the tree forgets them, and what only they had is removed.  Then what
nobody names any more is merged, a plan for each merge: a merge can be
taken back, and tried again later, and nothing is lost by that.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import tomlkit

from qemu_cli.instance import definitions
from qemu_cli.instance.disks import edit
from qemu_cli.instance.model import NVRAM_ID
from qemu_cli.instance.snapshots import layers as layer_files
from qemu_cli.instance.snapshots import store
from qemu_cli.instance.snapshots.create_plan import tag_image
from qemu_cli.instance.snapshots.layers import LayerFile, Layers
from qemu_cli.instance.snapshots.merging import Merge
from qemu_cli.instance.snapshots.store import Snapshot, Tree
from qemu_cli.paths import InstancePaths
from qemu_cli.steps import AnyStep, Plan, Remove, Tool, WriteFile
from qemu_cli.steps.block import DropNodes, Flush, Pivot, Repoint
from qemu_cli.steps.job import Job, OrderJob
from qemu_cli.steps.load import DropTag
from qemu_cli.steps.rebase import Rebase
from qemu_cli.storage import qemu_img


class Chain(NamedTuple):
    """What a device of the running QEMU reads.

    :param qdev: the device, as QEMU calls it
    :param nodes: names and files of its layers, active layer first
    """

    qdev: str
    nodes: tuple[tuple[str, Path], ...]

    def place(self, file: Path) -> int | None:
        """Where in the chain a file is."""
        files = [each for _, each in self.nodes]
        return files.index(file) if file in files else None


class World(NamedTuple):
    """All that counts.

    :param text: of the definition
    :param chains: of the running QEMU; none: it does not run
    """

    layers: Layers
    tree: Tree
    text: str
    chains: tuple[Chain, ...] = ()

    def chain_of(self, file: Path) -> Chain | None:
        """The chain of the running QEMU that has a file."""
        for chain in self.chains:
            if chain.place(file) is not None:
                return chain
        return None


def forget(
    paths: InstancePaths,
    world: World,
    snapshots: Sequence[Snapshot],
    *,
    tool: str,
) -> tuple[Plan, World]:
    """Plan how snapshots go, but for what others need of them.

    :param snapshots: of the tree, or made up for tags that it does not
        have
    :param tool: qemu-img
    :return: with it, how the world is afterwards
    """
    keys = {each.key for each in snapshots}
    tree = world.tree
    for each in tree.snapshots:
        if each.key in keys:
            tree = tree.without(each.key)
    after = _without(paths, world, tree, snapshots)
    steps: list[AnyStep] = []
    if tree != world.tree:
        steps.append(store.write(paths, tree))
    commit = len(steps)
    for number, each in enumerate(snapshots, start=1):
        if each.kind == "internal":
            job_id = f"snapshot-delete-{number}"
            steps += untag(paths, world, each, job_id, tool=tool)
    steps += [
        Remove(str(each.file)) for each in removed(world.layers, after.layers)
    ]
    for each in snapshots:
        if each.key in {known.key for known in world.tree.snapshots}:
            if each.kind == "external" and each.memory:
                steps.append(Remove(str(paths.snapshot_ram(each.key))))
            kept = paths.snapshot_definition(each.key)
            steps.append(Remove(str(kept)))
    names = " ".join(each.name for each in snapshots)
    title = f"snapshot delete {paths.name} {names}"
    return Plan(title, tuple(steps), commit), after


def tagged(
    paths: InstancePaths, layers: Layers, snapshot: Snapshot
) -> list[Path]:
    """The images that have an internal snapshot."""
    files = {
        Path(os.path.realpath(paths.directory / layer.file))
        for layer in snapshot.layers
    }
    return [
        file
        for file, layer in layers.files.items()
        if file in files and snapshot.key in layer.tags
    ]


def untag(
    paths: InstancePaths,
    world: World,
    snapshot: Snapshot,
    job_id: str,
    *,
    tool: str,
) -> list[AnyStep]:
    """The steps that take an internal snapshot out of its images."""
    nodes: dict[Path, str] = {}
    for chain in world.chains:
        name, file = chain.nodes[0]
        nodes[file] = name
    files = tagged(paths, world.layers, snapshot)
    return [
        DropTag(
            job_id=job_id,
            tag=snapshot.key,
            devices=tuple(nodes[file] for file in group if file in nodes),
            images=tuple(tag_image(tool, f, snapshot.key) for f in group),
        )
        for group in (
            [file for file in files if file in nodes],
            [file for file in files if file not in nodes],
        )
        if group
    ]


def removed(before: Layers, after: Layers) -> list[LayerFile]:
    """The files that go when fewer layers are named."""
    return [
        layer
        for file, layer in before.files.items()
        if file not in after.files
    ]


def unneeded(layers: Layers) -> list[LayerFile]:
    """The layers that no layer in use stands on."""
    live = set(layers.live)
    return [layer for f, layer in layers.files.items() if f not in live]


def _without(
    paths: InstancePaths,
    world: World,
    tree: Tree,
    snapshots: Sequence[Snapshot],
) -> World:
    """How the world is when snapshots are gone, and nothing is merged."""
    definition = definitions.parse(world.text, source=str(paths.definition))
    files = dict(world.layers.files)
    for each in snapshots:
        if each.kind == "internal":
            for file in tagged(paths, world.layers, each):
                layer = files[file]
                files[file] = msgspec.structs.replace(
                    layer, tags=layer.tags - {each.key}
                )
    named = layer_files.named(paths, definition, tree)
    layers = world.layers._replace(files=files).naming(named)
    for layer in unneeded(layers):
        if layers.is_inside(layer.file) and not layers.users[layer.file]:
            del files[layer.file]
    return world._replace(layers=layers, tree=tree)


def merge(
    paths: InstancePaths,
    world: World,
    wanted: Merge,
    layers: Layers,
    *,
    tool: str,
) -> tuple[Plan, World]:
    """Plan one merge.

    :param layers: as they are afterwards
    """
    chain = world.chain_of(wanted.top.file)
    after = world._replace(
        layers=layers,
        chains=tuple(
            _merged(each, wanted) if each == chain else each
            for each in world.chains
        ),
    )
    steps: list[AnyStep]
    if wanted.kind == "pull":
        steps, commit = _pull(chain, wanted, tool=tool)
        unused = wanted.run
    else:
        after = _renamed(paths, after, wanted)
        writes = _writes(paths, world, after)
        steps, commit = _commit(chain, wanted, writes, tool=tool)
        unused = (wanted.top, *wanted.run[:-1])
    if chain:
        steps.append(DropNodes(_names(chain, unused)))
    steps += [Remove(str(each.file)) for each in wanted.gone]
    title = f"merge {wanted.base.file.name} of {paths.name}"
    return Plan(title, tuple(steps), commit), after


def _pull(
    chain: Chain | None, wanted: Merge, *, tool: str
) -> tuple[list[AnyStep], int]:
    """Copy what is below a layer into it; and the point of no return."""
    top, base = wanted.top, wanted.base
    if chain is None:
        return [Rebase(_stand(tool, top, base))], 1
    node = _names(chain, [top])[0]
    id = f"merge-{top.id}"
    arguments: dict[str, Any] = {"device": node, "auto-finalize": False}
    if base.backing:
        end = chain.place(base.file)
        assert end is not None  # noqa: S101
        arguments["base-node"] = chain.nodes[end + 1][0]
        arguments["backing-file"] = base.backing
    return [
        Job("block-stream", id, arguments, until="pending"),
        Flush(node=node),
        OrderJob("job-finalize", id),
        Repoint(_stand(tool, top, base, unsafe=True)),
        Flush(node=node),
    ], 2


def _stand(
    tool: str, top: LayerFile, base: LayerFile, *, unsafe: bool = False
) -> tuple[str, ...]:
    """The command that puts a layer on what another one stands on.

    :param unsafe: only write it down
    """
    if base.backing is None:
        return qemu_img.flatten_argv(tool, top.file, unsafe=unsafe)
    return qemu_img.rebase_argv(
        *(tool, top.file, base.backing, base.backing_format or ""),
        unsafe=unsafe,
    )


def _commit(
    chain: Chain | None,
    wanted: Merge,
    writes: Sequence[AnyStep],
    *,
    tool: str,
) -> tuple[list[AnyStep], int]:
    """Write a layer down, and let all that named it name its new place.

    What stands on it goes over: it reads the same from either.
    """
    top, base = wanted.top, wanted.base
    moved = [_moved(tool, each, base) for each in wanted.above]
    if chain is None:
        argv = qemu_img.commit_argv(tool, top.file, top.format, base=base.file)
        steps: list[AnyStep] = [
            Tool(argv),
            *(
                Tool(new, back=_moved(tool, each, top))
                for new, each in zip(moved, wanted.above, strict=True)
            ),
            *writes,
        ]
        return steps, len(steps)
    top_node, base_node = _names(chain, [top, base])
    id = f"merge-{top.id}"
    arguments: dict[str, Any] = {
        "device": chain.nodes[0][0],
        "base-node": base_node,
        "auto-finalize": False,
    }
    place = chain.place(top.file)
    if not place:
        steps = [
            Job("block-commit", id, arguments, until="ready"),
            OrderJob("job-complete", id, until="pending"),
            *writes,
            Pivot(id, chain.qdev, base_node),
        ]
        return steps, len(steps)
    arguments |= {
        "top-node": top_node,
        "backing-file": f"./{base.file.name}",
    }
    above_node, above = chain.nodes[place - 1]
    steps = [
        Job("block-commit", id, arguments, until="pending"),
        Flush(node=base_node),
        OrderJob("job-finalize", id),
        *(
            Repoint(new) if each.file == above else Tool(new)
            for new, each in zip(moved, wanted.above, strict=True)
        ),
        Flush(node=above_node),
        *writes,
    ]
    return steps, 2


def _moved(tool: str, layer: LayerFile, place: LayerFile) -> tuple[str, ...]:
    """The command that says where a layer stands from now on."""
    name = f"./{place.file.name}"
    return qemu_img.rebase_argv(
        tool, layer.file, name, place.format, unsafe=True
    )


def _names(chain: Chain, layers: Sequence[LayerFile]) -> tuple[str, ...]:
    files = {file: name for name, file in chain.nodes}
    return tuple(files[layer.file] for layer in layers)


def _merged(chain: Chain, wanted: Merge) -> Chain:
    """A chain after a merge."""
    gone = {each.file for each in wanted.run}
    if wanted.kind == "commit":
        gone = gone - {wanted.base.file} | {wanted.top.file}
    nodes = tuple(each for each in chain.nodes if each[1] not in gone)
    return chain._replace(nodes=nodes)


def _renamed(paths: InstancePaths, world: World, wanted: Merge) -> World:
    """The tree and the definition, with a committed layer's new place."""
    base = wanted.base
    fields = {"file": base.file.name, "format": base.format}

    def is_it(file: str) -> bool:
        place = Path(os.path.realpath(paths.directory / file))
        return place == wanted.top.file

    snapshots = tuple(
        msgspec.structs.replace(
            snapshot,
            layers=tuple(
                msgspec.structs.replace(layer, **fields)
                if is_it(layer.file)
                else layer
                for layer in snapshot.layers
            ),
        )
        for snapshot in world.tree.snapshots
    )
    definition = definitions.parse(world.text, source=str(paths.definition))
    document: Any = tomlkit.parse(world.text)
    for image in definition.images:
        if is_it(image.file):
            _put(document, image.id, fields)
    return world._replace(
        tree=msgspec.structs.replace(world.tree, snapshots=snapshots),
        text=tomlkit.dumps(document),
    )


def _put(document: Any, id: str, fields: Mapping[str, str]) -> None:
    if id == NVRAM_ID:
        document["firmware"]["vars"] = fields["file"]
    else:
        edit.update(document, "disks", id, fields)


def _writes(
    paths: InstancePaths, before: World, after: World
) -> list[AnyStep]:
    steps: list[AnyStep] = []
    if after.text != before.text:
        definition = str(paths.definition)
        steps.append(WriteFile(definition, after.text, before.text))
    if after.tree != before.tree:
        steps.append(store.write(paths, after.tree))
    return steps
