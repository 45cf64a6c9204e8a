"""Changes of a definition's text; what the user wrote around it stays."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import tomlkit

from qemu_cli.errors import StateError
from qemu_cli.instance import definitions
from qemu_cli.instance.host import Host, vm_facts
from qemu_cli.instance.model import Definition
from qemu_cli.paths import InstancePaths
from qemu_cli.steps import WriteFile


class Edited(NamedTuple):
    """A definition after a change."""

    definition: Definition
    step: WriteFile


def edit(
    host: Host, paths: InstancePaths, change: Callable[[Any], None]
) -> Edited:
    """Change a definition's text, and check what has become of it.

    :param change: gets the document, and changes it
    :raise DefinitionError: the result can't be understood
    :raise StateError: a plug-in objects
    """
    before = definitions.read(paths.definition)
    document = tomlkit.parse(before)
    change(document)
    text = tomlkit.dumps(document)
    after = definitions.parse(text, source=str(paths.definition))
    problems = host.hooks.check_definition(vm_facts(paths, after))
    if problems:
        raise StateError("; ".join(problems))
    step = WriteFile(str(paths.definition), text, before)
    return Edited(after, step)


def append(document: Any, table: str, entry: Mapping[str, Any]) -> None:
    """Add an entry to a list of tables such as ``disks``."""
    if document.get(table):
        item = tomlkit.item(dict(entry))
        item.add(tomlkit.nl())
        document[table].append(item)
    else:
        document[table] = [dict(entry)]


def update(
    document: Any, table: str, id: str, fields: Mapping[str, Any]
) -> None:
    """Set fields of an entry; one that becomes None is removed."""
    for entry in document[table]:
        if entry["id"] == id:
            for key, value in fields.items():
                if value is None:
                    entry.pop(key, None)
                else:
                    entry[key] = value


def remove(document: Any, table: str, id: str) -> None:
    """Remove an entry."""
    entries = document[table]
    for index in range(len(entries) - 1, -1, -1):
        if entries[index]["id"] == id:
            del entries[index]
    if not entries:
        del document[table]
