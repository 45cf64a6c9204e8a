"""What VMs share, for ``qemu share list``."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from qemu_cli.errors import QemuCliError
from qemu_cli.instance.model import Share
from qemu_cli.instance.vm import VM


class Row(NamedTuple):
    """A directory that is shared.

    :param mount: what the guest types
    :param problem: what is wrong with it, or what it waits for
    """

    vm: str
    tag: str
    directory: str
    driver: str
    read_only: bool
    mount: str
    problem: str | None = None


def rows(vms: Iterable[VM], warn: Callable[[str], object]) -> list[Row]:
    """The shares of VMs, as they are defined.

    :param warn: told of VMs whose definitions can't be read
    """
    found = []
    for vm in vms:
        try:
            shares = vm.definition.shares
        except QemuCliError as error:
            warn(f"{vm.name}: {error}")
            continue
        found += [
            Row(
                *(vm.name, share.tag, share.directory, share.driver),
                *(share.read_only, mount_command(share), _problem(vm, share)),
            )
            for share in shares
        ]
    return found


def mount_command(share: Share) -> str:
    """What mounts it in a Linux guest (mount(8)), as root."""
    options = ["ro"] if share.read_only else []
    if share.driver == "virtiofs":
        kind = "virtiofs"
    else:
        # Large messages: the default of 8 KiB is slow in older kernels.
        kind = "9p"
        options += ["trans=virtio", "version=9p2000.L", "msize=512000"]
    words = f"mount -t {kind}"
    if options:
        words += f" -o {','.join(options)}"
    return f"{words} {share.tag} /mnt"


def _problem(vm: VM, share: Share) -> str | None:
    if not Path(share.directory).is_dir():
        return "the directory is not there"
    if vm.process and not any(
        f"id={share.id}," in word for word in vm.process.argv
    ):
        return "from the next start on"
    return None
