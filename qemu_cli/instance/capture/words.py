"""The words of a command line, and their parts.  Pure.

See qemu-system(1), and util/qemu-option.c for the syntax of values.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from qemu_cli.instance.discovery.argv import FLAGS, options, sections

#: The key that the first part of a value may omit.
FIRST_KEY = {
    "M": "type",
    "accel": "accel",
    "audiodev": "driver",
    "blockdev": "driver",
    "boot": "order",
    "chardev": "backend",
    "device": "driver",
    "display": "type",
    "fsdev": "fsdriver",
    "fw_cfg": "name",
    "m": "size",
    "machine": "type",
    "mon": "chardev",
    "name": "guest",
    "net": "type",
    "netdev": "type",
    "nic": "type",
    "object": "qom-type",
    "smp": "cpus",
    "tpmdev": "type",
}

#: Sections of ``-readconfig`` that are called otherwise than the option.
_SECTIONS = {"smp-opts": "smp", "memory": "m", "boot-opts": "boot"}

Pairs = tuple[tuple[str, str], ...]


class Option(NamedTuple):
    """One option.

    :param number: its place on the command line, from 0
    :param name: without dashes
    :param value: None: it takes none
    :param source: the file of ``-readconfig`` that it stands in, or ``""``
    """

    number: int
    name: str
    value: str | None
    source: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        """As they stand on the command line."""
        if self.value is None:
            return (f"-{self.name}",)
        return (f"-{self.name}", self.value)

    @property
    def text(self) -> str:
        """The same in one word, for people."""
        return " ".join(self.words)

    @property
    def pairs(self) -> Pairs:
        """Keys and values; those of JSON have a dot for each level."""
        return pairs(self.value or "", FIRST_KEY.get(self.name, ""))

    def get(self, key: str, default: str = "") -> str:
        """The last value of a key."""
        return dict(self.pairs).get(key, default)


def read(
    argv: Sequence[str], read_file: Callable[[str], str | None]
) -> list[Option]:
    """Return all options, those in files of ``-readconfig`` included.

    :param read_file: gets a path as it stands there, and returns the text;
        None: it can't be read, and the option stays as it is
    """
    found: list[Option] = []

    def add(name: str, value: str | None, source: str = "") -> None:
        found.append(Option(len(found), name, value, source))

    for name, value in options(argv):
        if name == "virtfs":
            for option, parts in _virtfs(value):
                add(option, join(parts, FIRST_KEY[option]))
            continue
        text = read_file(value) if name == "readconfig" else None
        if text is None:
            add(name, None if name in FLAGS else value)
            continue
        for section, keys in sections(text):
            if section:
                option = _SECTIONS.get(section, section)
                add(option, join(tuple(keys.items())), value)
    return found


def _virtfs(value: str) -> Iterator[tuple[str, Pairs]]:
    """Turn ``-virtfs`` into the two options that it is short for."""
    keys = dict(pairs(value, "fsdriver"))
    tag = keys.pop("mount_tag", "")
    name = keys.pop("id", tag)
    driver = keys.pop("fsdriver", "local")
    yield "fsdev", (("fsdriver", driver), ("id", name), *keys.items())
    yield (
        "device",
        (("driver", "virtio-9p-pci"), ("fsdev", name), ("mount_tag", tag)),
    )


def pairs(value: str, first: str = "") -> Pairs:
    """Split ``a,b=c,d``; a doubled comma is one in a value.

    :param first: the key of a first part without one
    """
    if value.startswith(("{", "json:")):
        try:
            return tuple(_flat("", json.loads(value.removeprefix("json:"))))
        except ValueError:
            pass  # QEMU would not have taken it either
    found = []
    parts = value.replace(",,", "\0").split(",")
    for number, part in enumerate(parts):
        key, equals, text = part.replace("\0", ",").partition("=")
        if equals:
            found.append((key, text))
        elif not number and first:
            found.append((first, key))
        elif key.startswith("no") and key not in _NO_WORDS:
            found.append((key[2:], "off"))  # as in `nowait`
        elif key:
            found.append((key, "on"))
    return tuple(found)


#: Keys that begin with "no", and are not the opposite of others.
_NO_WORDS = frozenset({"node-name", "no-flush", "nodes", "nodeid"})


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else key, each)
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _flat(f"{prefix}.{number}", each)
    elif isinstance(value, bool):
        yield prefix, "on" if value else "off"
    elif value is None:
        yield prefix, ""
    else:
        yield prefix, str(value)


def join(parts: Sequence[tuple[str, str]], first: str = "") -> str:
    """Turn keys and values into the text that QEMU takes.

    :param first: the key that the first part may omit
    """
    texts = [
        value.replace(",", ",,")
        if not number and key == first and "=" not in value
        else f"{key}={value.replace(',', ',,')}"
        for number, (key, value) in enumerate(parts)
    ]
    return ",".join(texts)


def with_pairs(option: Option, more: Sequence[tuple[str, str]]) -> str:
    """Return the value with some keys set, in its own syntax."""
    value = option.value or ""
    if value.startswith("{"):
        return json.dumps({**json.loads(value), **dict(more)})
    kept = [pair for pair in option.pairs if pair[0] not in dict(more)]
    return join([*kept, *more], FIRST_KEY.get(option.name, ""))
