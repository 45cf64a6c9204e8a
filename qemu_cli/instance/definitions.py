"""``instance.toml``: from its text to a checked definition, and back."""

import datetime
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from qemu_cli.errors import DefinitionError
from qemu_cli.instance import tables
from qemu_cli.instance.consistency import inconsistencies
from qemu_cli.instance.model import FORMAT, Definition

_TIMES = (datetime.datetime, datetime.date, datetime.time)


def read(path: Path) -> str:
    """Return the text of a definition, whatever it says.

    :raise DefinitionError: it is missing or no text
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DefinitionError(
            f"{path} is missing", hint="put a copy of it back"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DefinitionError(
            f"{path} can't be read: {error}", hint="put a copy of it back"
        ) from error


def load(path: Path) -> Definition:
    """Read and check a definition.

    :raise DefinitionError: it is missing, not TOML, of a newer format, or
        says something that can't be; the message names file and key
    """
    return parse(read(path), source=str(path))


def parse(text: str, *, source: str) -> Definition:
    """Turn the text of an ``instance.toml`` into a checked definition.

    :param source: what to call it in errors
    :raise DefinitionError: see :func:`load`
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DefinitionError(
            f"{source} is not valid TOML: {error}",
            hint="'qemu edit' opens it, and checks it before it is saved",
        ) from error
    definition = convert(raw, source=source)
    for problem in inconsistencies(definition):
        raise DefinitionError(f"{source}: {problem}")
    return definition


def convert(
    raw: dict[str, Any], *, source: str, strict: bool = True
) -> Definition:
    """Turn what TOML gives into a typed definition.

    :param strict: text is not taken for a number, nor for a truth value
    :raise DefinitionError: see :func:`load`
    """
    found = raw.get("format")
    if isinstance(found, int) and found > FORMAT:
        raise DefinitionError(
            f"{source} has format {found}, this program knows {FORMAT}",
            hint="it was written by a newer version; use that one",
        )
    try:
        return msgspec.convert(raw, Definition, strict=strict)
    except msgspec.ValidationError as error:
        raise DefinitionError(
            f"{source}: {tables.explain(str(error))}"
        ) from error


def render(definition: Definition) -> str:
    """Write a definition as TOML, in the order of its fields."""
    import tomlkit

    # TOML has types for times, and a plug-in may use them.
    plain = msgspec.to_builtins(definition, builtin_types=_TIMES)
    plain["format"] = FORMAT
    document = tomlkit.document()
    document.add(tomlkit.comment("A virtual machine of qemu(1)."))
    document.add(tomlkit.comment("Change it with 'qemu edit' or 'qemu set'."))
    ordered = {"format": plain.pop("format"), **plain}
    simple = {k: v for k, v in ordered.items() if not _is_table(v)}
    tables = {k: v for k, v in ordered.items() if _is_table(v)}
    for key, value in (simple | tables).items():
        document.add(key, tomlkit.item(value))
    return tomlkit.dumps(document)


def _is_table(value: object) -> bool:
    if isinstance(value, (list, tuple)):
        return bool(value) and isinstance(value[0], dict)
    return isinstance(value, dict)
