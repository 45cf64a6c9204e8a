"""The tables of ``instance.toml`` and their keys, for error messages."""

import re
from typing import get_args, get_type_hints

from qemu_cli import suggest
from qemu_cli.instance.model import (
    Cdrom,
    Definition,
    Device,
    Disk,
    Firmware,
    Forward,
    Kernel,
    Machine,
    Nic,
    Part,
    Throttle,
)


def explain(message: str) -> str:
    """Turn msgspec's words into ours, with the nearest known key."""
    place = ""
    if match := re.search(r" - at `\$\.?(.*)`$", message):
        place = match[1]
        message = message[: match.start()]
    if match := re.search(r"contains unknown field `(.+)`", message):
        key = match[1]
        known = known_keys(place)
        near = suggest.nearest(key, known)
        where = f" in [{place}]" if place else ""
        nearest = f"; did you mean '{near[0]}'?" if near else ""
        return f"unknown key '{key}'{where}{nearest}"
    if match := re.search(r"missing required field `(.+)`", message):
        return f"'{'.'.join(filter(None, (place, match[1])))}' is missing"
    if not place:
        return message
    if choices := _choices(place):
        return f"'{place}' is none of {', '.join(choices)}"
    return f"'{place}': {message[0].lower()}{message[1:]}"


def _choices(place: str) -> list[str]:
    """The words that a key can have, if there are only some."""
    table, _, key = place.rpartition(".")
    part = _part(table)
    kind = get_type_hints(part).get(key) if part else None
    return [each for each in get_args(kind) if isinstance(each, str)]


def known_keys(place: str) -> list[str]:
    """Return the keys of a table, as in ``machine`` or ``nics[0]``."""
    part = _part(place)
    return list(part.__struct_fields__) if part else []


def _part(place: str) -> type[Part] | None:
    tables: dict[str, type[Part]] = {
        "": Definition,
        "machine": Machine,
        "firmware": Firmware,
        "boot": Kernel,
        "disks": Disk,
        "disks.throttle": Throttle,
        "cdroms": Cdrom,
        "nics": Nic,
        "nics.forwards": Forward,
        "devices": Device,
    }
    return tables.get(re.sub(r"\[[^]]*\]", "", place))
