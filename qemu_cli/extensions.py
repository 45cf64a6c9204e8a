"""What other distributions add: the only user of stevedore.

It picks one thing by its name (:func:`pick`); who tells everyone is
:mod:`qemu_cli.hooks`.  Commands are found by :mod:`qemu_cli.commandmanager`.
What is disabled is neither imported nor offered; whoever needs another
version of the API is told so instead of being imported.
"""

import functools
import importlib.metadata
import os
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import qemu_cli
from qemu_cli import API_VERSION, __version__
from qemu_cli.errors import PluginError, UsageError
from qemu_cli.settings import normalized
from qemu_cli.suggest import did_you_mean

DISTRIBUTION = "qemu-cli"
HOOKS = "qemu_cli.hooks"

#: How the directory of our metadata begins.
_OURS = ("qemu_cli-", "qemu_cli.egg-info")
#: Where a plug-in may say which version of the API it needs; the name of
#: the entry point is the version: ``1.0 = qemu_cli_hello``.
API = "qemu_cli.api"

_disabled: Callable[[], frozenset[str]] = frozenset


def disable(names: Callable[[], frozenset[str]]) -> None:
    """Say who finds out which distributions are disabled.

    Asked only when plug-ins are looked for.

    :param names: their normalized names
    """
    global _disabled
    _disabled = names


@functools.cache
def _ourselves() -> importlib.metadata.Distribution:
    """Reads nothing, however many distributions are installed."""
    name = f"qemu_cli-{__version__}.dist-info"
    # Beside the package; elsewhere when it is an editable installation.
    for place in (str(Path(qemu_cli.__file__).parents[1]), *sys.path):
        metadata = Path(place, name)
        if metadata.is_dir():
            return importlib.metadata.Distribution.at(metadata)
    return importlib.metadata.distribution(DISTRIBUTION)


@functools.cache
def _our_entry_points() -> list[EntryPoint]:
    return list(_ourselves().entry_points)


def own(group: str) -> dict[str, EntryPoint]:
    """Our own entry points of a group, by name."""
    return {
        entry.name: entry
        for entry in _our_entry_points()
        if entry.group == group
    }


def installed(group: str) -> list[EntryPoint]:
    """The entry points of a group in all other distributions.

    Reads every distribution's metadata, without stevedore's cache, which
    is blind to a reinstall for two minutes.  Sorted by name.
    """
    if not _mentioned(group):
        return []
    found = (
        entry
        for entry in importlib.metadata.entry_points(group=group)
        if distribution_of(entry) != DISTRIBUTION
    )
    return sorted(found, key=lambda each: (each.name, provider(each)))


def _mentioned(group: str) -> bool:
    """May any distribution but ours have the group?

    To parse the entry points of them all costs half a ``qemu list``, and
    to look for the word in them next to nothing.
    """
    word = f"[{group}]".encode()
    for place in dict.fromkeys(sys.path):
        try:
            with os.scandir(place or ".") as entries:
                names = [entry.name for entry in entries]
        except FileNotFoundError:
            continue
        except OSError:  # an archive: only importlib looks into those
            return True
        for name in names:
            if name.endswith(".egg"):
                return True
            if name.startswith(_OURS):
                continue
            if name.endswith((".dist-info", ".egg-info")):
                # pathlib would double what an alias costs.
                points = f"{place or '.'}/{name}/entry_points.txt"
                try:
                    with open(points, "rb", buffering=0) as stream:  # noqa: PTH123
                        if word in stream.read():
                            return True
                except OSError:
                    continue  # it has none
    return False


def foreign(group: str) -> list[EntryPoint]:
    """Those of them whose distributions are not disabled."""
    found = installed(group)
    if not found or not (disabled := _disabled()):
        return found
    return [each for each in found if distribution_of(each) not in disabled]


def disabled(group: str, name: str) -> EntryPoint | None:
    """What would have the name, were it not disabled."""
    enabled = foreign(group)
    for entry in installed(group):
        if entry.name == name and entry not in enabled:
            return entry
    return None


def enable_hint(entry: EntryPoint) -> str:
    """What to do when something disabled is asked for."""
    who = provider(entry).split()[0]
    return (
        f"it is in {provider(entry)}, which is disabled: "
        f"'qemu plugin enable {who}'"
    )


def provider(entry: EntryPoint) -> str:
    """The name and version of the distribution an entry point is from."""
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "?"


def distribution_of(entry: EntryPoint) -> str:
    """The normalized name of the distribution an entry point is from."""
    if entry.dist is _ourselves():
        return DISTRIBUTION  # to read it would cost `list` three percent
    return normalized(entry.dist.name if entry.dist else "")


def needed_api(
    distribution: importlib.metadata.Distribution,
) -> tuple[int, int] | None:
    """The version of the API that a distribution needs; None: any.

    :raise PluginError: what it says is no version
    """
    for entry in distribution.entry_points:
        if entry.group == API:
            major, _, minor = entry.name.partition(".")
            if not (major.isdecimal() and minor.isdecimal()):
                raise PluginError(
                    f"{provider(entry)} needs version {entry.name!r} of the "
                    "plug-in API, which is none: it has two numbers, as 1.0"
                )
            return int(major), int(minor)
    return None


def check_api(distribution: importlib.metadata.Distribution) -> None:
    """Check that we have the API that a distribution needs.

    :raise PluginError: we have another
    """
    needed = needed_api(distribution)
    if needed is None:
        return
    if needed[0] == API_VERSION[0] and needed[1] <= API_VERSION[1]:
        return
    old = DISTRIBUTION if needed > API_VERSION else distribution.name
    raise PluginError(
        f"{distribution.name} {distribution.version} needs version "
        f"{'.'.join(map(str, needed))} of the plug-in API; {DISTRIBUTION} "
        f"{__version__} has {'.'.join(map(str, API_VERSION))}",
        hint=f"upgrade {old}, or: qemu plugin disable {distribution.name}",
    )


def load(entry: EntryPoint) -> Any:
    """Import what an entry point names.

    :raise PluginError: it can't be imported, or needs another version of
        the API; names the distribution
    """
    if entry.dist and distribution_of(entry) != DISTRIBUTION:
        check_api(entry.dist)
    try:
        return entry.load()
    except (Exception, SystemExit) as error:
        who = provider(entry).split()[0]
        raise PluginError(
            f"{entry.name!r} of {provider(entry)} failed to load: "
            f"{type(error).__name__}: {error}",
            hint=f"reinstall or remove {who}, or: qemu plugin disable {who}",
        ) from error


def names(group: str) -> list[str]:
    """All names in a group, ours and those of plug-ins."""
    return sorted({*own(group), *(each.name for each in foreign(group))})


def pick(group: str, name: str) -> Any:
    """Import the one thing of this name; ours first.

    :raise UsageError: there is none; names the known ones
    :raise PluginError: it can't be imported, or two plug-ins have it
    """
    if entry := own(group).get(name):
        return load(entry)
    only = _only(group, name)
    from stevedore.driver import DriverManager

    class Known(DriverManager[Any]):
        """Without stevedore's cache of entry points."""

        def list_entry_points(self) -> list[EntryPoint]:
            return [only]

    try:
        if only.dist:
            check_api(only.dist)
        return Known(group, name).driver
    except (Exception, SystemExit):  # noqa: BLE001
        return load(only)  # says what is wrong, and with whom


def _only(group: str, name: str) -> EntryPoint:
    found = [each for each in foreign(group) if each.name == name]
    if not found:
        what = group.removeprefix("qemu_cli.").partition(".")[0]
        what = what.removesuffix("s")
        known = names(group)
        off = disabled(group, name)
        raise UsageError(
            f"there is no {what} {name!r}; known: {', '.join(known)}",
            hint=enable_hint(off) if off else did_you_mean(name, known),
        )
    if len(found) > 1:
        raise clash(name, found)
    return found[0]


def clash(name: str, entries: Iterable[EntryPoint]) -> PluginError:
    """The error when several plug-ins have the same name for something."""
    whos = [provider(each) for each in entries]
    return PluginError(
        f"{name!r} is provided by both {' and '.join(whos)}",
        hint=f"remove one of them, or: qemu plugin disable "
        f"{whos[-1].split()[0]}",
    )
