"""``qemu snapshot rename``: only what the user calls it changes."""

import msgspec

from qemu_cli.errors import StateError
from qemu_cli.instance import change, history
from qemu_cli.instance.host import Host
from qemu_cli.instance.snapshots import listing, store
from qemu_cli.instance.snapshots.check import check_free
from qemu_cli.instance.vm import VM
from qemu_cli.steps import Plan


async def rename(host: Host, vm: VM, old: str, new: str) -> None:
    """Give a snapshot another name, running or not.

    :raise NotFoundError: there is no such snapshot
    :raise StateError: it is not ours, or the new name is taken
    :raise UsageError: no snapshot can be called so
    """
    paths = vm.paths
    async with change.changing(host, paths) as now:
        tree = store.load(paths)
        others = listing.foreign(paths, now.definition, tree)
        tags = {each.name for each in others}
        if old in tags:
            raise StateError(
                f"the snapshot '{old}' was made by another program, and has "
                "no other name than in the images"
            )
        snapshot = tree.find(old)
        if store.check_name(new) == old:
            return
        check_free(tree, new, tags)
        renamed = msgspec.structs.replace(snapshot, name=new)
        step = store.write(paths, tree.replacing(renamed))
        title = f"snapshot rename {paths.name} {old} {new}"
        await change.run(host, paths, Plan(title, (step,)))
        history.note(
            *(paths, "snapshot rename"),
            command=host.who,
            snapshot=old,
            to=new,
        )
