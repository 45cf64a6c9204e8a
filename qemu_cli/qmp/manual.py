"""What a QMP command takes and returns, for people, from the schema."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from qemu_cli.errors import UsageError
from qemu_cli.qmp.schema import Schema
from qemu_cli.suggest import did_you_mean

#: What is nested deeper is named by its type only.
_DEPTH = 3

_WORDS = {
    "str": "text",
    "int": "number",
    "number": "fraction",
    "bool": "on|off",
    "any": "anything",
    "null": "null",
}
_ENUM_MAX = 8


class Argument(NamedTuple):
    """One argument; a dot in its name goes one level down.

    :param kind: what it can be: ``text``, ``number``, ``a|b|c`` …
    :param when: only if another argument has this value, or ``""``
    :param features: such as ``deprecated`` and ``unstable``
    """

    name: str
    kind: str
    needed: bool
    when: str
    features: tuple[str, ...]


class Manual(NamedTuple):
    """A command.

    :param returns: what the reply is
    """

    command: str
    features: tuple[str, ...]
    arguments: tuple[Argument, ...]
    returns: str


def of_command(schema: Schema, command: str) -> Manual:
    """Describe a command.

    :raise UsageError: there is none of this name
    """
    if not schema.has_command(command):
        raise UsageError(
            f"this QEMU has no command '{command}'",
            hint=did_you_mean(command, schema.commands)
            or "'qemu qmp NAME --list' shows all",
        )
    return Manual(
        command,
        tuple(sorted(schema.features(command))),
        tuple(_arguments(schema, schema.argument_type(command), "", "", 0)),
        kind(schema, schema.return_type(command)),
    )


def _arguments(
    schema: Schema, type_name: str, prefix: str, when: str, depth: int
) -> Iterator[Argument]:
    entity = schema.type(type_name)
    tag = entity.get("tag")
    for member in entity["members"]:
        yield from _argument(schema, member, prefix, when, depth)
    for variant in entity.get("variants", ()):
        inner = f"{prefix}{tag}={variant['case']}"
        # The driver of a node has forty variants: one level is enough.
        if depth < _DEPTH - 1:
            yield from _arguments(
                schema, variant["type"], prefix, inner, depth + 1
            )


def _argument(
    schema: Schema,
    member: Mapping[str, Any],
    prefix: str,
    when: str,
    depth: int,
) -> Iterator[Argument]:
    name = f"{prefix}{member['name']}"
    inner = schema.type(member["type"])
    yield Argument(
        name,
        kind(schema, member["type"]),
        "default" not in member,
        when,
        tuple(sorted(member.get("features", ()))),
    )
    if inner["meta-type"] == "object" and depth < _DEPTH:
        yield from _arguments(
            schema, member["type"], f"{name}.", when, depth + 1
        )


def kind(schema: Schema, type_name: str, depth: int = 0) -> str:
    """Name what a value of a type can be: ``text``, ``a|b|c`` …"""
    entity = schema.type(type_name)
    match entity["meta-type"]:
        case "builtin":
            return _WORDS.get(type_name, type_name)
        case "enum":
            values = entity["values"]
            more = ["…"] if len(values) > _ENUM_MAX else []
            return "|".join([*values[:_ENUM_MAX], *more])
        case "array":
            return f"list of {kind(schema, entity['element-type'], depth)}"
        case "alternate":
            kinds = [
                kind(schema, each["type"], depth) for each in entity["members"]
            ]
            return " or ".join(dict.fromkeys(kinds))
        case _:
            names = [member["name"] for member in entity["members"]]
            return f"{{{', '.join(names)}}}" if names else "nothing"
