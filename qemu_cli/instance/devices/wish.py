"""``DRIVER[,KEY=VALUE…]``, as people type it.  Pure."""

import re
from typing import NamedTuple

from qemu_cli.errors import UsageError

#: What decides where a device is: that is ours to choose, and to keep.
_PLACE = ("bus", "addr", "port")


class DeviceWish(NamedTuple):
    """A device that is wanted.

    :param id: None: one is made up
    """

    driver: str
    options: dict[str, str]
    id: str | None = None


def parse_device(text: str) -> DeviceWish:
    """Take it apart; a doubled comma is one in a value, as for QEMU.

    :raise UsageError: it is not of this form, or says too much
    """
    driver, *words = (
        word.replace("\0", ",") for word in text.replace(",,", "\0").split(",")
    )
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", driver):
        raise UsageError(
            f"'{driver}' is no name of a device",
            hint="as in virtio-rng-pci,max-bytes=1024",
        )
    options: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise UsageError(
                f"'{word}' is not of the form KEY=VALUE",
                hint="as in virtio-rng-pci,max-bytes=1024; a comma in a "
                "value is doubled",
            )
        if key in _PLACE:
            raise UsageError(
                f"{key}: where a device is plugged in can't be chosen: it "
                "gets a free place, and keeps it",
                hint="leave it out; 'qemu set NAME qemu-arg+=…' takes any "
                "words of QEMU's",
            )
        if key in options:
            raise UsageError(f"{key} is said twice")
        options[key] = value
    id = options.pop("id", None)
    if id is not None and not re.fullmatch(
        r"[A-Za-z][A-Za-z0-9._-]{0,30}", id
    ):
        raise UsageError(
            f"'{id}' can't be an id",
            hint="an id is a letter, and up to 30 letters, digits, dots, "
            "dashes and underscores",
        )
    return DeviceWish(driver, options, id)
