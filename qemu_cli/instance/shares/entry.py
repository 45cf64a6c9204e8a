"""A share as the definition has it."""

import msgspec

from qemu_cli.instance.model import Share
from qemu_cli.instance.shares.wish import ShareWish
from qemu_cli.profiles.base import Profile


def entry(wish: ShareWish, id: str, slot: str, profile: Profile) -> Share:
    """Make the entry of a share whose driver is chosen.

    :param slot: its place on the board
    :raise UsageError: the board can't share directories
    """
    fields = {
        "id": id,
        "tag": wish.tag,
        "directory": str(wish.directory),
        "driver": wish.driver,
        "slot": slot,
        "read_only": wish.read_only,
    }
    share = msgspec.convert(fields, Share)
    profile.share(share)  # or it can't
    return share
