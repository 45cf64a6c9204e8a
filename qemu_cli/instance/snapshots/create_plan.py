"""From what a snapshot is of to the plan that takes it.  Pure.

The definition that it is of is written down first, the tree last: what is
in the tree is there.
"""

from collections.abc import Sequence
from pathlib import Path

from qemu_cli.instance.snapshots import store
from qemu_cli.instance.snapshots.parts import Part
from qemu_cli.instance.snapshots.store import Snapshot, Tree
from qemu_cli.paths import InstancePaths
from qemu_cli.steps import AnyStep, MakeDirectory, Plan, WriteFile
from qemu_cli.steps.snapshot import SaveSnapshot, TagImage
from qemu_cli.storage import qemu_img


def plan_internal(
    paths: InstancePaths,
    tree: Tree,
    snapshot: Snapshot,
    parts: Sequence[Part],
    text: str,
    *,
    tool: str,
) -> Plan:
    """Plan an internal snapshot, of a running VM or a stopped one.

    :param snapshot: as it will be in the tree
    :param text: the definition's
    :param tool: qemu-img
    """
    tags = tuple(
        tag_image(tool, paths.directory / part.file, snapshot.key)
        for part in parts
    )
    steps: list[AnyStep] = keep_definition(paths, snapshot, text)
    nodes = {part.id: part.node for part in parts if part.node}
    if snapshot.vmstate is None:
        steps += tags
    else:
        steps.append(
            SaveSnapshot(
                job_id=f"snapshot-{snapshot.key}",
                tag=snapshot.key,
                vmstate=nodes[snapshot.vmstate],
                nodes=tuple(nodes.values()),
                images=tags,
            )
        )
    commit = len(steps)
    steps.append(store.write(paths, tree.with_(snapshot)))
    return Plan(_title(paths, snapshot), tuple(steps), commit)


def keep_definition(
    paths: InstancePaths, snapshot: Snapshot, text: str
) -> list[AnyStep]:
    """The steps that keep the definition beside the tree."""
    kept = paths.snapshot_definition(snapshot.key)
    return [
        MakeDirectory(str(paths.snapshots)),
        WriteFile(str(kept), text),
    ]


def tag_image(tool: str, file: Path, tag: str) -> TagImage:
    """The step that tags an image that nobody has open."""
    return TagImage(
        tag=tag,
        file=str(file),
        look=qemu_img.info_argv(tool, file, "qcow2"),
        make=qemu_img.snapshot_argv(tool, "-c", file, tag),
        drop=qemu_img.snapshot_argv(tool, "-d", file, tag),
        mend=qemu_img.check_argv(
            tool, file, "qcow2", overlay=True, repair="leaks"
        ),
    )


def _title(paths: InstancePaths, snapshot: Snapshot) -> str:
    return f"snapshot create {paths.name} {snapshot.name}"
