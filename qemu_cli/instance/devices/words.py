"""The words of a machine as it is now, with what came and went.  Pure.

A QEMU that has had devices, CPUs or memory plugged in is the machine of
another command line than its own: RAM that is written then fits to that.
"""

import re
from collections.abc import Iterator, Sequence

from qemu_cli.instance.spelling import BACKEND

#: Options whose value is the next word.
_WITH_VALUE = frozenset({"-device", "-netdev", "-object", "-append"})

_ID = re.compile(r"(?:.*,)?id=([^,]+)(?:,.*)?")


def with_plugged(
    now: Sequence[str], defined: Sequence[str], ids: frozenset[str]
) -> list[str]:
    """Return the words that would make a running machine as it is.

    :param now: those that it was started with
    :param defined: those of its definition, which knows what was plugged in
    :param ids: of the devices that QEMU has
    """
    started = list(_groups(now))
    own = {_id(group) for group in started if group[0] == "-device"}
    words: list[str] = []
    for group in started:
        id = _id(group)
        if id is None or id not in own or id in ids:
            words += group
    for group in _groups(defined):
        id = _id(group)
        if id is not None and id in ids and id not in own:
            words += group
    return words


def _groups(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """An option with its value, or a single word."""
    index = 0
    while index < len(words):
        length = 2 if words[index] in _WITH_VALUE else 1
        yield tuple(words[index : index + length])
        index += length


def _id(group: tuple[str, ...]) -> str | None:
    """The id of a device, also where it is that of its back-end."""
    if group[0] not in ("-device", "-netdev", "-object"):
        return None
    match = _ID.fullmatch(group[-1])
    if match is None:
        return None
    return (
        match[1].removeprefix(BACKEND) if group[0] == "-object" else match[1]
    )
