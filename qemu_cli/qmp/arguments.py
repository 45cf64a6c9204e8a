"""A QMP command as people type it, checked against QEMU's own schema.

``key=value`` words carry no types; the schema has them.  A dot goes one
level down, as in QEMU's own options, a key that is said twice makes an
array, and so do commas.  What comes as JSON has types already, and they
are checked in the same way.  (qapi/introspect.json)
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from qemu_cli.errors import QemuCliError, UsageError
from qemu_cli.qmp.schema import Schema
from qemu_cli.suggest import did_you_mean
from qemu_cli.units import parse_size

_TRUTH = {
    **dict.fromkeys(("on", "true", "yes"), True),
    **dict.fromkeys(("off", "false", "no"), False),
}


class Word(str):
    """A value as it was typed: its type is not known yet."""

    __slots__ = ()


def from_words(words: Iterable[str]) -> dict[str, Any]:
    """Put ``key=value`` words together.

    :raise UsageError: one is none, or two contradict each other
    """
    found: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise UsageError(
                f"'{word}' is no argument",
                hint="key=value, key.inner=value, or all of them as JSON",
            )
        *parents, last = key.split(".")
        place = found
        for parent in parents:
            inner = place.setdefault(parent, {})
            if not isinstance(inner, dict):
                raise UsageError(f"'{parent}' can't have both: {word}")
            place = inner
        if last not in place:
            place[last] = Word(value)
        elif isinstance(place[last], dict):
            raise UsageError(f"'{key}' can't have both: {word}")
        elif isinstance(place[last], list):
            place[last].append(Word(value))
        else:
            place[last] = [place[last], Word(value)]
    return found


def check(
    schema: Schema, command: str, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Give each argument the type that the schema wants.

    :param given: from :func:`from_words`, or JSON
    :return: what can be sent
    :raise UsageError: there is no such command or argument, one is
        missing, or has another type; names the nearest right one
    """
    if not schema.has_command(command):
        raise UsageError(
            f"this QEMU has no command '{command}'",
            hint=did_you_mean(command, schema.commands)
            or "'qemu qmp NAME --list' shows all",
        )
    fitted = _object(schema, schema.argument_type(command), given, command)
    return dict(fitted)


def _fit(schema: Schema, type_name: str, value: Any, place: str) -> Any:
    entity = schema.type(type_name)
    match entity["meta-type"]:
        case "builtin":
            return _builtin(entity["json-type"], value, place)
        case "enum":
            return _one_of(entity["values"], value, place)
        case "array":
            inner = entity["element-type"]
            return [
                _fit(schema, inner, each, f"{place}[{number}]")
                for number, each in enumerate(_items(value, place))
            ]
        case "alternate":
            return _any_of(schema, entity["members"], value, place)
        case _:
            return _object(schema, type_name, value, place)


def _object(schema: Schema, type_name: str, value: Any, place: str) -> Any:
    if isinstance(value, Word):
        value = _json(value, place)
    if not isinstance(value, Mapping):
        raise _wrong(place, "an object", value)
    members = {
        each["name"]: each
        for each in _members(schema, type_name, value, place)
    }
    for key in value:
        if key not in members:
            raise UsageError(
                f"{place} has no argument '{key}'",
                hint=did_you_mean(key, members)
                or f"it has {', '.join(members) or 'none'}",
            )
    missing = [
        name
        for name, member in members.items()
        if name not in value and "default" not in member
    ]
    if missing:
        raise UsageError(f"{place} needs {' and '.join(missing)}")
    return {
        key: _fit(schema, members[key]["type"], each, f"{place}.{key}")
        for key, each in value.items()
    }


def _members(
    schema: Schema, type_name: str, value: Mapping[str, Any], place: str
) -> list[Mapping[str, Any]]:
    """All members that an object can have, given its own tag."""
    entity = schema.type(type_name)
    members = list(entity["members"])
    tag = entity.get("tag")
    if tag is None:
        return members
    if tag in value:
        tag_type = next(m["type"] for m in members if m["name"] == tag)
        case = _fit(schema, tag_type, value[tag], f"{place}.{tag}")
        for variant in entity["variants"]:
            if variant["case"] == case:
                members += _members(schema, variant["type"], value, place)
    return members


def _builtin(kind: str, value: Any, place: str) -> Any:
    typed = isinstance(value, Word)
    match kind:
        case "string" if isinstance(value, str):
            return str(value)
        case "boolean":
            if typed and value.lower() in _TRUTH:
                return _TRUTH[value.lower()]
            if isinstance(value, bool):
                return value
        case "int" if typed:
            return _number(value, place)
        case "int" if isinstance(value, int) and not isinstance(value, bool):
            return value
        case "number":
            try:
                return float(value)
            except (TypeError, ValueError):
                pass
        case "null":
            if value is None or (typed and value == "null"):
                return None
        case "value":
            return _anything(value) if typed else value
    raise _wrong(place, _AS_PEOPLE_SAY.get(kind, kind), value)


_AS_PEOPLE_SAY = {
    "string": "text",
    "boolean": "on or off",
    "int": "a whole number",
    "number": "a number",
    "null": "null",
}


def _number(word: Word, place: str) -> int:
    try:
        return int(word, 0)
    except ValueError:
        pass
    try:
        return parse_size(word)
    except UsageError:
        raise _wrong(place, "a whole number", word) from None


def _one_of(values: Sequence[str], value: Any, place: str) -> str:
    if isinstance(value, str) and value in values:
        return str(value)
    near = isinstance(value, str) and did_you_mean(value, values)
    raise UsageError(
        f"{place} can't be {_shown(value)}",
        hint=near or f"it is one of {', '.join(values)}",
    )


def _items(value: Any, place: str) -> list[Any]:
    if isinstance(value, Word):
        if value.startswith("["):
            value = _json(value, place)
        else:
            return [Word(each) for each in value.split(",")] if value else []
    if isinstance(value, Mapping) and all(key.isdigit() for key in value):
        return [value[key] for key in sorted(value, key=int)]
    if not isinstance(value, list):
        raise _wrong(place, "an array", value)
    return value


def _any_of(
    schema: Schema,
    members: Sequence[Mapping[str, Any]],
    value: Any,
    place: str,
) -> Any:
    """The first that fits; of errors, the one of the likeliest."""
    errors: list[tuple[Mapping[str, Any], QemuCliError]] = []
    # Text is what everything else could be, too.
    kinds = sorted(members, key=lambda each: each["type"] == "str")
    for member in kinds:
        try:
            return _fit(schema, member["type"], value, place)
        except QemuCliError as error:
            errors.append((member, error))
    likely = [
        error
        for member, error in errors
        if (schema.type(member["type"])["meta-type"] == "object")
        == isinstance(value, Mapping)
    ]
    raise likely[0] if likely else errors[0][1]


def _anything(word: Word) -> Any:
    try:
        return json.loads(word)
    except ValueError:
        return str(word)


def _json(word: Word, place: str) -> Any:
    try:
        return json.loads(word)
    except ValueError as error:
        raise UsageError(f"{place} is not JSON: {error}") from error


def _wrong(place: str, wanted: str, value: Any) -> UsageError:
    return UsageError(f"{place} must be {wanted}, not {_shown(value)}")


def _shown(value: Any) -> str:
    text = json.dumps(value) if not isinstance(value, str) else f"'{value}'"
    return text if len(text) <= 60 else f"{text[:57]}..."
