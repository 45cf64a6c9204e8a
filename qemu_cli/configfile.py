"""Changing a settings file: comments and order are kept."""

import os
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from qemu_cli.config import check, refuse_foreign
from qemu_cli.errors import NotFoundError, QemuCliError
from qemu_cli.files import write_atomically


def put(path: Path, key: str, text: str) -> None:
    """Set a key; the file and its directory are made when missing.

    :raise UsageError: unknown setting, or a value of the wrong form
    :raise QemuCliError: the file is not usable
    """
    check(key, text)
    document = _load(path)
    *tables, last = _split(key)
    place = document
    for name in tables:
        if not isinstance(place.get(name), dict):
            place[name] = tomlkit.table(is_super_table=True)
        place = place[name]
    place[last] = text
    _save(path, document)


def drop(path: Path, key: str) -> None:
    """Remove a key, known or not; tables left empty go too.

    :raise NotFoundError: the file does not have it
    """
    document = _load(path)
    places: list[dict[str, Any]] = [document]
    *tables, last = _split(key)
    for name in tables:
        inner = places[-1].get(name)
        if not isinstance(inner, dict):
            break
        places.append(inner)
    else:
        if last in places[-1]:
            del places[-1][last]
            for name, place in zip(
                reversed(tables), reversed(places[:-1]), strict=True
            ):
                if not place[name]:
                    del place[name]
            _save(path, document)
            return
    raise NotFoundError(f"{path}: {key} is not set there")


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
