"""Imports plug-ins where they can do no harm: in a process of their own."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import EntryPoint
from typing import NamedTuple


class Outcome(NamedTuple):
    """What came of the import of one entry point.

    :param import_s: how long it took, without what we import ourselves
    :param error: why it can't be used
    :param notes: what its author should know
    :param hooks: the hooks that it implements
    """

    import_s: float | None = None
    error: str | None = None
    notes: tuple[str, ...] = ()
    hooks: tuple[str, ...] = ()


def run(
    plugins: Sequence[Sequence[EntryPoint]], timeout_s: float
) -> Iterator[list[Outcome]]:
    """Import the entry points of each plug-in, in this order.

    Each plug-in has a process to itself, forked from one that has our own
    modules imported: so what is measured is the plug-in alone.

    :param timeout_s: for each entry point
    """
    if not plugins:
        return
    words = [
        [[entry.name, entry.group, entry.value] for entry in entries]
        for entries in plugins
    ]
    # -P: what lies in the current directory is no module of ours.
    done = subprocess.run(
        [sys.executable, "-P", "-m", "qemu_cli.plugins.child"],
        input=json.dumps([timeout_s, words]),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    for line in done.stdout.splitlines():
        yield [
            Outcome(
                each.get("import_s"),
                each.get("error"),
                tuple(each.get("notes", ())),
                tuple(each.get("hooks", ())),
            )
            for each in json.loads(line)
        ]
