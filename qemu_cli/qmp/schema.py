"""What a QEMU can do, from its own description (``query-qmp-schema``).

Never guessed from a version number: distributions backport.  Types have
no stable names in it, so a question is a path of member names::

    schema.has_command("blockdev-backup")
    schema.has_argument("nbd-server-start", "handshake-max-seconds")
    schema.has_value("file", "migrate", "channels", "addr", "transport")

(qapi/introspect.json; docs/devel/qapi-code-gen, "Client JSON Protocol
introspection".)  It is the same for every VM of one binary, has 200 KB
and costs QEMU 50 ms: hence a cache.
"""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

if TYPE_CHECKING:
    from qemu_cli.qmp.session import Session


class Schema:
    """A parsed schema.

    :param entities: the reply to ``query-qmp-schema``
    """

    def __init__(self, entities: Iterable[Mapping[str, Any]]) -> None:
        self._entities = {
            (entity["meta-type"] in ("command", "event"), entity["name"]): (
                entity
            )
            for entity in entities
        }

    def has_command(self, command: str) -> bool:
        """Tell whether QEMU knows a command."""
        return self._command(command) is not None

    def has_event(self, event: str) -> bool:
        """Tell whether QEMU can send an event."""
        entity = self._entities.get((True, event), {})
        return bool(entity.get("meta-type") == "event")

    def has_argument(self, command: str, *path: str) -> bool:
        """Tell whether a command takes an argument.

        :param path: the argument, and members inside of it.  Arrays and
            the variants of a union (each driver of ``blockdev-add``) are
            looked through.
        """
        return any(True for _ in self._types(command, path))

    def has_value(self, value: str, command: str, *path: str) -> bool:
        """Tell whether an argument takes a value of its enumeration."""
        return any(
            value in entity.get("values", ())
            for entity in self._types(command, path)
        )

    def features(self, command: str) -> frozenset[str]:
        """What QEMU says of a command: ``deprecated``, ``unstable``."""
        entity = self._command(command) or {}
        return frozenset(entity.get("features", ()))

    @property
    def commands(self) -> list[str]:
        """The names of all commands."""
        return sorted(
            entity["name"]
            for entity in self._entities.values()
            if entity["meta-type"] == "command"
        )

    @property
    def events(self) -> list[str]:
        """The names of all events."""
        return sorted(
            entity["name"]
            for entity in self._entities.values()
            if entity["meta-type"] == "event"
        )

    def argument_type(self, command: str) -> str:
        """The name of the type of a command's arguments, for :meth:`type`.

        :raise KeyError: there is no such command
        """
        return str(self._entities[True, command]["arg-type"])

    def return_type(self, command: str) -> str:
        """The same for what it returns."""
        return str(self._entities[True, command]["ret-type"])

    def type(self, name: str) -> Mapping[str, Any]:
        """A type as QEMU describes it (QAPI SchemaInfo)."""
        return self._entities[False, name]

    def _command(self, name: str) -> Mapping[str, Any] | None:
        entity = self._entities.get((True, name))
        if entity is None or entity["meta-type"] != "command":
            return None
        return entity

    def _types(
        self, command: str, path: Sequence[str]
    ) -> Iterator[Mapping[str, Any]]:
        """The types that stand at the end of a path."""
        entity = self._command(command)
        names = {entity["arg-type"]} if entity else set()
        for member in path:
            names = {
                one["type"]
                for name in names
                for one in self._members(name)
                if one.get("name") == member  # an alternate's have none
            }
        for name in names:
            yield from self._seen_through(name)

    def _members(self, type_name: str) -> Iterator[Mapping[str, Any]]:
        for entity in self._seen_through(type_name):
            yield from entity.get("members", ())

    def _seen_through(self, type_name: str) -> Iterator[Mapping[str, Any]]:
        """A type, or what an array, a union or an alternate holds."""
        entity = self._entities[False, type_name]
        yield entity
        inner = [one["type"] for one in entity.get("variants", ())]
        if entity["meta-type"] == "array":
            inner.append(entity["element-type"])
        if entity["meta-type"] == "alternate":
            inner += [one["type"] for one in entity["members"]]
        for name in inner:
            yield from self._seen_through(name)


async def load(session: "Session", binary: Path | None, cache: Path) -> Schema:
    """Ask a QEMU for its schema, or take what it said before.

    :param binary: the executable that runs; a changed file is asked anew;
        None: nobody knows, so it is asked each time
    :param cache: a directory; made when it is missing
    """
    if binary is None:
        return Schema(await session.execute("query-qmp-schema"))
    # What an upgrade replaces has another time or size.
    stat = binary.stat()
    key = f"{os.fsdecode(binary.resolve())}-{stat.st_mtime_ns}-{stat.st_size}"
    file = cache / f"schema-{crc32(key.encode()):08x}.json"
    try:
        kept = json.loads(file.read_bytes())
        if kept["key"] == key:
            return Schema(kept["schema"])
    except (OSError, ValueError, TypeError, KeyError):
        pass  # missing or damaged: asked again, and written anew
    entities = await session.execute("query-qmp-schema")
    _write(file, {"key": key, "schema": entities})
    return Schema(entities)


def _write(file: Path, content: Mapping[str, Any]) -> None:
    """Keep it whole or not at all; a read-only home is no failure."""
    fresh = file.with_suffix(f".{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps(content))
        fresh.replace(file)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink()
