"""Changing a settings file: comments and order are kept.

Whether a key is one, and takes a value, is the caller's to check.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from qemu_cli.config import refuse_foreign
from qemu_cli.errors import NotFoundError, QemuCliError
from qemu_cli.files import write_atomically


def put(path: Path, key: str, text: str) -> None:
    """Set a key; the file and its directory are made when missing.

    :raise QemuCliError: the file is not usable
    """
    document = _load(path)
    place: Any = document
    *tables, last = _split(key)
    for at, name in enumerate(tables):
        if name in place and not isinstance(place[name], dict):
            # A value stands there, such as memory: "memory.set.timeout".
            last = ".".join((*tables[at:], last))
            break
        if name not in place:
            place[name] = tomlkit.table(is_super_table=True)
        place = place[name]
    if isinstance(place.get(last), dict):
        for inner, value in _flat(place.pop(last), f"{last}."):
            place[inner] = value
    place[last] = text
    _save(path, document)


def drop(path: Path, key: str) -> None:
    """Remove a key, known or not; tables left empty go too.

    :raise NotFoundError: the file does not have it
    """
    document = _load(path)
    if not _drop(document, _split(key)):
        raise NotFoundError(f"{path}: {key} is not set there")
    _save(path, document)


def _drop(place: Any, words: Sequence[str]) -> bool:
    """Remove one, be it in tables or with dots in its name."""
    for count in range(len(words), 0, -1):
        name = ".".join(words[:count])
        if name not in place:
            continue
        if count == len(words):
            del place[name]
            return True
        inner = place[name]
        if isinstance(inner, dict) and _drop(inner, words[count:]):
            if not inner:
                del place[name]
            return True
    return False


def _flat(table: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _split(key: str) -> list[str]:
    """An alias' name may have a dot; the rest are tables."""
    head, _, rest = key.partition(".")
    return [head, rest] if head == "alias" else key.split(".")


def _load(path: Path) -> tomlkit.TOMLDocument:
    try:
        with path.open(encoding="utf-8") as file:
            refuse_foreign(path, os.fstat(file.fileno()))
            return tomlkit.load(file)
    except FileNotFoundError:
        return tomlkit.document()
    except (TOMLKitError, UnicodeDecodeError) as error:
        raise QemuCliError(f"{path}: {error}") from None


def _save(path: Path, document: tomlkit.TOMLDocument) -> None:
    path = path.resolve()  # a link into somebody's dotfiles stays a link
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, tomlkit.dumps(document))
