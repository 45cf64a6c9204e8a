"""How a QMP command that is being typed can go on, from QEMU's schema.  Pure.

The form is that of :mod:`qemu_cli.qmp.arguments`: ``COMMAND key=value``, a
dot for one level down, commas between the items of an array.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from qemu_cli.qmp import manual
from qemu_cli.qmp.schema import Schema


class Candidate(NamedTuple):
    """One way to go on.

    :param text: what the word under the cursor could be
    :param size: how many characters before the cursor it replaces
    :param note: what it is, in a few words
    """

    text: str
    size: int
    note: str = ""


def candidates(schema: Schema, text: str) -> list[Candidate]:
    """All ways to go on with a line.

    :param text: the line up to the cursor; a command and its arguments
    """
    *before, word = text.lstrip().split(" ")
    before = [each for each in before if each]
    if not before:
        return [
            Candidate(name, len(word), ", ".join(sorted(features)))
            for name in schema.commands
            if name.startswith(word)
            for features in (schema.features(name),)
        ]
    command, *arguments = before
    if not schema.has_command(command):
        return []
    given = dict(each.partition("=")[::2] for each in arguments)
    root = schema.argument_type(command)
    key, equals, value = word.partition("=")
    *parents, last = key.split(".")
    entity: Mapping[str, Any] | None = schema.type(root)
    prefix = ""
    for parent in parents:
        entity = _inner(schema, entity, prefix, given, parent)
        prefix += f"{parent}."
    if not equals:
        return [
            Candidate(each.text, len(word), each.note)
            for each in _keys(schema, entity, prefix, given)
            if each.text.startswith(key)
        ]
    last_type = _inner(schema, entity, prefix, given, last)
    item = value.rpartition(",")[2] if _is_array(last_type) else value
    return [
        Candidate(each, len(item))
        for each in dict.fromkeys(_values(schema, last_type))
        if each.startswith(item)
    ]


def _keys(
    schema: Schema,
    entity: Mapping[str, Any] | None,
    prefix: str,
    given: Mapping[str, str],
) -> Iterator[Candidate]:
    """The arguments that are not there yet, those that it needs first."""
    members = list(_members(schema, entity, prefix, given))
    for member in sorted(members, key=lambda each: "default" in each):
        name = f"{prefix}{member['name']}"
        if name in given:
            continue
        inner = schema.type(member["type"])
        goes_down = inner["meta-type"] == "object"
        note = manual.kind(schema, member["type"])
        if "default" not in member:
            note = f"needed, {note}"
        for feature in sorted(member.get("features", ())):
            note += f", {feature}"
        yield Candidate(f"{name}{'.' if goes_down else '='}", 0, note)


def _members(
    schema: Schema,
    entity: Mapping[str, Any] | None,
    prefix: str,
    given: Mapping[str, str],
) -> Iterator[Mapping[str, Any]]:
    """What an object can have; of a union, as its tag was given before."""
    if entity is None:
        return
    if entity["meta-type"] == "alternate":
        for member in entity["members"]:
            inner = schema.type(member["type"])
            yield from _members(schema, inner, prefix, given)
    if entity["meta-type"] != "object":
        return
    yield from entity["members"]
    tag = given.get(f"{prefix}{entity.get('tag')}")
    for variant in entity.get("variants", ()):
        if variant["case"] == tag:
            inner = schema.type(variant["type"])
            yield from _members(schema, inner, prefix, given)


def _inner(
    schema: Schema,
    entity: Mapping[str, Any] | None,
    prefix: str,
    given: Mapping[str, str],
    name: str,
) -> Mapping[str, Any] | None:
    """The type of a member; of an array's, its number may be said."""
    if entity and _is_array(entity) and name.isdecimal():
        return schema.type(entity["element-type"])
    for member in _members(schema, entity, prefix, given):
        if member["name"] == name:
            return schema.type(member["type"])
    return None


def _is_array(entity: Mapping[str, Any] | None) -> bool:
    return bool(entity and entity["meta-type"] == "array")


def _values(schema: Schema, entity: Mapping[str, Any] | None) -> Sequence[str]:
    """What can stand behind the equals sign; empty: anything."""
    if entity is None:
        return ()
    match entity["meta-type"]:
        case "enum":
            return list(entity["values"])
        case "builtin" if entity["json-type"] == "boolean":
            return ("on", "off")
        case "array":
            return _values(schema, schema.type(entity["element-type"]))
        case "alternate":
            return [
                value
                for member in entity["members"]
                for value in _values(schema, schema.type(member["type"]))
            ]
    return ()
