"""``qemu plugin new``: a package that works, for others to start from."""

import keyword
import re
import string
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple

from qemu_cli import API_VERSION, __version__, extensions
from qemu_cli.errors import QemuCliError, UsageError
from qemu_cli.files import write_atomically

#: The group of commands; a name that is taken there can't be a plug-in's.
_COMMANDS = "qemu_cli.commands"
_SUFFIX = ".in"


class Names(NamedTuple):
    """What things are called in a new package.

    :param distribution: ``qemu-cli-disk-report``
    :param module: ``qemu_cli_disk_report``
    :param word: what users type: ``disk-report``
    :param column: ``disk_report``
    :param klass: ``DiskReport``
    """

    distribution: str
    module: str
    word: str
    column: str
    klass: str


def names(text: str) -> Names:
    """What to call things, from the name that a user gave.

    :raise UsageError: it can't be a name, or is one of ours
    """
    word = text.lower().replace("_", "-")
    word = word.removeprefix(f"{extensions.DISTRIBUTION}-")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", word):
        raise UsageError(
            f"no name for a plug-in: {text!r}",
            hint="lower-case letters, digits and dashes, such as disk-report",
        )
    column = word.replace("-", "_")
    ours = {name.partition("_")[0] for name in extensions.own(_COMMANDS)}
    if word in ours:
        raise UsageError(
            f"there is a command 'qemu {word}' already, and it would be used",
            hint=f"another name, such as {word}-more",
        )
    if keyword.iskeyword(column):
        raise UsageError(f"{word!r} is a word of Python itself")
    return Names(
        distribution=f"{extensions.DISTRIBUTION}-{word}",
        module=f"qemu_cli_{column}",
        word=word,
        column=column,
        klass="".join(part.capitalize() for part in word.split("-")),
    )


def create(new: Names, directory: Path) -> list[Path]:
    """Write all files of the package.

    :param directory: is made; may exist, if nothing is in it
    :return: the files
    :raise QemuCliError: there is something in the directory
    """
    if directory.is_dir() and any(directory.iterdir()):
        raise QemuCliError(
            f"{directory}: there is something in it",
            hint="--directory names another place",
        )
    values = {
        **new._asdict(),
        "version": __version__,
        "api": ".".join(map(str, API_VERSION)),
    }
    template = files(__package__).joinpath("template")
    return [
        _write(directory / _target(path, new), source, values)
        for path, source in sorted(_walk(template))
    ]


def _walk(place: Traversable, above: str = "") -> list[tuple[str, str]]:
    """All files below: path and text."""
    found = []
    for each in place.iterdir():
        path = f"{above}{each.name}"
        if each.is_dir():
            found += _walk(each, f"{path}/")
        elif path.endswith(_SUFFIX):
            found.append((path, each.read_text(encoding="utf-8")))
    return found


def _target(path: str, new: Names) -> str:
    path = path.removesuffix(_SUFFIX)
    if path == "gitignore":
        return ".gitignore"
    return path.replace("module/", f"{new.module}/", 1)


def _write(path: Path, source: str, values: dict[str, str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, string.Template(source).substitute(values))
    return path
