"""``KEY=VALUE``: changes of a definition, in the user's words.  Pure.

A key is a path into ``instance.toml`` (``machine.memory_mib``,
``disks.disk0.cache``, ``plugin.NAME.KEY``) or one of the short words of
:data:`short_keys.SHORT`.  An empty value removes a key that need not be there.
"""

import os
import re
import tomllib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import tomlkit

from qemu_cli.emulator.selftest import CPU_MODELS
from qemu_cli.errors import DefinitionError, UsageError
from qemu_cli.instance import definitions
from qemu_cli.instance.blueprint import max_memory_mib
from qemu_cli.instance.model import Definition
from qemu_cli.instance.short_keys import SHORT
from qemu_cli.instance.wish import ForwardWish, parse_forward, parse_memory
from qemu_cli.suggest import did_you_mean

_PATHS = {
    "cpus": "machine.cpus",
    "cpu": "machine.cpu",
    "accel": "machine.accel",
    "kernel": "boot.kernel",
    "initrd": "boot.initrd",
    "append": "boot.append",
}

#: What can't be another one in a machine that has been used.
_FIXED = frozenset({"format", "created", "arch", "profile", "firmware"})

_ASSIGNMENT = re.compile(r"([A-Za-z0-9_.-]*[A-Za-z0-9_])(\+=|-=|=)(.*)", re.S)

#: Picks a free port of the host for a forward that names none.
ChoosePort = Callable[[ForwardWish], int]


class Assignment(NamedTuple):
    """One ``KEY=VALUE``; ``how`` is ``=``, ``+=`` or ``-=``."""

    key: str
    how: str
    value: str


def parse_assignment(text: str) -> Assignment:
    """Take a ``KEY=VALUE`` apart.

    :raise UsageError: it is not of this form
    """
    match = _ASSIGNMENT.fullmatch(text)
    if not match:
        raise UsageError(
            f"'{text}' is not of the form KEY=VALUE",
            hint="as in memory=2G, machine.cpus=2 or forward+=2222:22",
        )
    assignment = Assignment(*match.groups())
    if assignment.how != "=" and assignment.key not in ("forward", "qemu-arg"):
        raise UsageError(
            f"{assignment.key} is not a list: there is only "
            f"{assignment.key}=VALUE",
            hint="lists are forward and qemu-arg",
        )
    return assignment


def apply(
    text: str,
    assignments: Sequence[Assignment],
    *,
    source: str,
    choose_port: ChoosePort,
) -> str:
    """Change the text of a definition; comments and order are kept.

    :param source: what to call it in errors
    :raise UsageError: there is no such key, or it can't have this value
    :raise DefinitionError: the text as it is can't be understood
    """
    before = definitions.parse(text, source=source)
    document = tomlkit.parse(text)
    for assignment in assignments:
        _assign(document, assignment, before, choose_port)
    _give_types(document, assignments)
    _raise_maxima(document, assignments)
    return tomlkit.dumps(document)


def _assign(
    document: Any,
    assignment: Assignment,
    before: Definition,
    choose_port: ChoosePort,
) -> None:
    key, _, value = assignment
    if key == "forward":
        _forward(document, assignment, choose_port)
    elif key == "qemu-arg":
        _qemu_arg(document, assignment)
    elif key == "memory":
        _put(document, "machine.memory_mib", _memory_mib(value))
    elif key == "cdrom":
        if not before.cdroms:
            raise UsageError("cdrom: there is no CD drive")
        _put(document, f"cdroms.{before.cdroms[0].id}.file", _absolute(value))
    elif key in ("kernel", "initrd"):
        _put(document, _PATHS[key], _absolute(value))
    elif key == "accel":
        _put(document, _PATHS[key], value)
        if before.machine.cpu in CPU_MODELS.values() and value in CPU_MODELS:
            # 'host' is for KVM only, and 'max' is what goes with TCG.
            _put(document, _PATHS["cpu"], CPU_MODELS[value])
    else:
        path = _PATHS.get(key, key)
        first = path.partition(".")[0]
        known = [*SHORT, *Definition.__struct_fields__]
        if first in _FIXED:
            raise UsageError(
                f"{key} is decided when a VM is created",
                hint="'qemu edit' changes it all the same",
            )
        if first not in Definition.__struct_fields__:
            raise UsageError(
                f"there is no key '{key}'", hint=did_you_mean(key, known)
            )
        _put(document, path, _literal(value) if first == "plugin" else value)


def _absolute(file: str) -> str:
    return os.path.abspath(file) if file else ""  # noqa: PTH100


def _memory_mib(value: str) -> int:
    size_bytes = parse_memory(value)
    if size_bytes % (1 << 20):
        raise UsageError("memory is given in whole MiB")
    return size_bytes >> 20


def _literal(value: str) -> Any:
    """What a plug-in's key is set to: a TOML value, else the text."""
    if not value:
        return value
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value


def _put(document: Any, path: str, value: Any) -> None:
    """Set a key, tables being made as needed; an empty text removes it."""
    *tables, last = path.split(".")
    place = document
    for name in tables:
        if value == "" and isinstance(place, dict) and name not in place:
            return  # what is not there need not be removed
        place = _inside(place, name, path)
    if isinstance(place, list):
        raise UsageError(f"{path} is not a key but an entry of a list")
    if value == "":
        place.pop(last, None)
    else:
        place[last] = value


def _inside(place: Any, name: str, path: str) -> Any:
    if isinstance(place, list):
        for table in place:
            if table.get("id") == name:
                return table
        known = [str(table.get("id")) for table in place]
        raise UsageError(
            f"{path}: there is no '{name}' there",
            hint=f"there is {', '.join(known)}",
        )
    if name not in place:
        place[name] = tomlkit.table()
    inner = place[name]
    if not isinstance(inner, dict | list):
        raise UsageError(f"{path}: {name} has no keys of its own")
    return inner


def _give_types(document: Any, assignments: Sequence[Assignment]) -> None:
    """Turn the texts that were typed into what the definition wants."""
    try:
        loose = definitions.convert(document.unwrap(), source="", strict=False)
    except DefinitionError as error:
        raise UsageError(str(error).removeprefix(": ")) from error
    for key, _, value in assignments:
        path = _PATHS.get(key, key)
        names = path.split(".")
        if not value or names[0] in (*SHORT, "plugin", "config"):
            continue
        found: Any = loose
        for name in names:
            if isinstance(found, tuple):
                found = next(each for each in found if each.id == name)
            elif isinstance(found, dict):
                found = found.get(name)
            else:
                found = getattr(found, name)
        if found is not None and not isinstance(found, str):
            _put(document, path, found)


def _raise_maxima(document: Any, assignments: Sequence[Assignment]) -> None:
    """Make room for more CPUs and memory than there was room for."""
    machine = document["machine"]
    said = {_PATHS.get(key, key) for key, _, _ in assignments}
    if "machine.max_cpus" not in said:
        machine["max_cpus"] = max(machine["max_cpus"], machine["cpus"])
    most = machine.get("max_memory_mib", 0)
    if (
        "machine.max_memory_mib" not in said
        and 0 < most < machine["memory_mib"]
    ):
        machine["max_memory_mib"] = max_memory_mib(machine["memory_mib"])


def _forward(
    document: Any, assignment: Assignment, choose_port: ChoosePort
) -> None:
    _, how, value = assignment
    nic = next(
        (
            each
            for each in document.get("nics", ())
            if each.get("backend", "user") == "user"
        ),
        None,
    )
    if nic is None:
        raise UsageError("forward: there is no NIC of the kind user")
    if how == "=":
        nic.pop("forwards", None)
    if how == "-=":
        wish = parse_forward(value)
        forwards = nic.get("forwards", [])
        gone = [n for n, one in enumerate(forwards) if _matches(one, wish)]
        if not gone:
            raise UsageError(f"forward-={value}: there is no such forward")
        for number in reversed(gone):
            del forwards[number]
        if not forwards:
            del nic["forwards"]
    elif value:
        wish = parse_forward(value)
        new = {
            "host_port": wish.host_port or choose_port(wish),
            "guest_port": wish.guest_port,
            "host_address": wish.host_address,
            "protocol": wish.protocol,
        }
        if "forwards" in nic:
            nic["forwards"].append(tomlkit.item(new))
        else:
            nic["forwards"] = [new]


def _matches(forward: dict[str, Any], wish: ForwardWish) -> bool:
    return (
        forward["guest_port"] == wish.guest_port
        and wish.host_port in (0, forward["host_port"])
        and forward.get("protocol", "tcp") == wish.protocol
    )


def _qemu_arg(document: Any, assignment: Assignment) -> None:
    _, how, value = assignment
    words = [] if how == "=" else list(document.get("qemu_args", ()))
    if how == "-=":
        if value not in words:
            raise UsageError(f"qemu-arg-={value}: there is no such word")
        words.remove(value)
    elif value:
        words.append(value)
    document.pop("qemu_args", None)
    if words:
        document["qemu_args"] = words


def differences(
    before: Definition, after: Definition
) -> dict[str, tuple[Any, Any]]:
    """Name the keys that differ, with the old and the new value."""
    old = dict(_leaves("", msgspec.to_builtins(before)))
    new = dict(_leaves("", msgspec.to_builtins(after)))
    return {
        key: (old.get(key), new.get(key))
        for key in (*old, *(each for each in new if each not in old))
        if old.get(key) != new.get(key)
    }


def _leaves(prefix: str, value: Any) -> Any:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(f"{prefix}.{key}".lstrip("."), inner)
    elif isinstance(value, list | tuple) and any(
        isinstance(each, dict) and "id" in each for each in value
    ):
        for each in value:
            yield from _leaves(f"{prefix}.{each['id']}", each)
    else:
        yield prefix, list(value) if isinstance(value, tuple) else value
