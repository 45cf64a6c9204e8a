"""Shares added and removed: in the definition, for the next start.

QEMU can't be given a directory while it runs, and virtio-fs wants memory
that was made for it.
"""

from typing import Any

import msgspec

from qemu_cli.errors import NotFoundError, StateError
from qemu_cli.extensions import pick
from qemu_cli.instance import change
from qemu_cli.instance.devices.add import free_id, look
from qemu_cli.instance.disks import edit, guard, slots
from qemu_cli.instance.disks.done import Done, do
from qemu_cli.instance.host import Host
from qemu_cli.instance.shares.choose import choose
from qemu_cli.instance.shares.entry import entry
from qemu_cli.instance.shares.rows import mount_command
from qemu_cli.instance.shares.wish import ShareWish
from qemu_cli.instance.vm import VM
from qemu_cli.profiles.base import Profile
from qemu_cli.steps import Plan
from qemu_cli.suggest import did_you_mean


async def add(
    host: Host, vm: VM, wish: ShareWish, *, dry_run: bool = False
) -> Done:
    """Share one more directory, from the next start on.

    :raise StateError: the tag is taken, or the driver does not work here
    :raise RefusedError: the guest could write to the definitions of VMs
    :raise UsageError: the board can't
    """
    wish = choose(host, wish)
    async with change.changing(host, vm.paths) as now:
        guard.check_unsaved(now)
        definition = now.definition
        for other in definition.shares:
            if other.tag == wish.tag:
                raise StateError(
                    f"'{now.name}' shares {other.directory} as '{wish.tag}' "
                    "already",
                    hint=f"give it another tag: {wish.directory}:TAG",
                )
        profile: Profile = pick("qemu_cli.profiles", definition.profile)()
        machine = await look(host, now)
        slot = slots.first_free(profile, definition, "nic", machine)
        id = free_id("share", definition.ids | machine.ids)
        share = entry(wish, id, slot, profile)
        ports = slots.root_ports(definition, profile, slot)

        def change_it(document: Any) -> None:
            edit.append(document, "shares", msgspec.to_builtins(share))
            if ports != definition.machine.root_ports:
                document["machine"]["root_ports"] = ports

        edited = edit.edit(host, now.paths, change_it)
        plan = Plan(f"share add {now.name} {share.tag}", (edited.step,))
        text = f"{share.directory} is shared as '{share.tag}'"
        if now.alive:
            text += ", from the next start on"
        text += f"; in the guest: {mount_command(share)}"
        data = {
            "tag": share.tag,
            "directory": share.directory,
            "driver": share.driver,
            "read_only": share.read_only,
            "waits": now.alive,
        }
        return await do(
            *(host, now.paths, Done(plan, text, data)),
            action="share add",
            dry_run=dry_run,
        )


async def remove(
    host: Host, vm: VM, tag: str, *, dry_run: bool = False
) -> Done:
    """Share a directory no more, from the next start on.

    :raise NotFoundError: nothing is shared by that tag
    """
    async with change.changing(host, vm.paths) as now:
        guard.check_unsaved(now)
        known = {share.tag: share for share in now.definition.shares}
        if tag not in known:
            raise NotFoundError(
                f"'{now.name}' shares nothing as '{tag}'",
                hint=did_you_mean(tag, known)
                or (f"it shares {', '.join(known)}" if known else None),
            )
        id = known[tag].id
        edited = edit.edit(
            host, now.paths, lambda doc: edit.remove(doc, "shares", id)
        )
        plan = Plan(f"share remove {now.name} {tag}", (edited.step,))
        text = f"'{tag}' is shared no more"
        if now.alive:
            text += "; the guest has it until it is shut down"
        return await do(
            *(host, now.paths),
            Done(plan, text, {"tag": tag, "waits": now.alive}),
            action="share remove",
            dry_run=dry_run,
        )
