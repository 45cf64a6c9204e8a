"""Which driver shares a directory, and what must not be shared."""

import dataclasses

from qemu_cli.errors import QemuCliError, RefusedError, StateError
from qemu_cli.instance.host import Host
from qemu_cli.instance.shares import virtiofsd
from qemu_cli.instance.shares.wish import ShareWish


def choose(host: Host, wish: ShareWish) -> ShareWish:
    """Fill in the driver: virtio-fs where it works, else 9p.

    :raise StateError: virtio-fs is asked for, and does not work here
    :raise RefusedError: the guest could write to the definitions of VMs
    """
    check(host, wish)
    if wish.driver == "9p":
        return wish
    try:
        found = virtiofsd.find(host.config)
        if wish.read_only and not found.read_only:
            raise StateError(
                f"{found.path} can't keep a guest from writing",
                hint="9p can: --driver 9p",
            )
    except QemuCliError:
        if wish.driver:
            raise
        return dataclasses.replace(wish, driver="9p")
    return dataclasses.replace(wish, driver="virtiofs")


def check(host: Host, wish: ShareWish) -> None:
    """Refuse to let a guest write where its own definition is.

    Who can write that can run programs here, as this user.

    :raise RefusedError: it could
    """
    if wish.read_only:
        return
    directory = wish.directory.resolve()
    for precious in (host.paths.instances, host.paths.user_config):
        own = precious.resolve()
        inside = directory.is_relative_to(own)
        if inside or own.is_relative_to(directory):
            raise RefusedError(
                f"{wish.directory} {'is in' if inside else 'holds'} {own}: "
                "the guest could make this host run what it likes",
                hint="share another directory, or add ',ro'",
            )
