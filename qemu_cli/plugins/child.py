"""The process that :mod:`qemu_cli.plugins.trial` starts.

It reads a time limit and entry points (JSON) from stdin, and writes a line
of outcomes for each plug-in.  Plug-ins are imported in forks of it: one
that hangs, ends or talks harms only itself.
"""

import importlib
import json
import os
import select
import signal
import sys
import time
import warnings
from importlib.metadata import EntryPoint
from typing import Any

from qemu_cli.deprecation import ApiDeprecationWarning

_OURS = (
    "app",
    "command.follow",
    "command.loop",
    "command.vm",
    "commands.start",
    "hookspecs",
    "instance.start",
    "plugins.check",
)


def main() -> None:
    """Answer all of stdin."""
    timeout_s, plugins = json.load(sys.stdin)
    answers = os.fdopen(os.dup(1), "w")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)
    _import_ours()
    for entries in plugins:
        answers.write(json.dumps(_try_all(entries, timeout_s)) + "\n")
        answers.flush()


def _import_ours() -> None:
    """What a command on VMs has imported before any plug-in."""
    for name in _OURS:
        importlib.import_module(f"qemu_cli.{name}")


def _try_all(
    entries: list[list[str]], timeout_s: float
) -> list[dict[str, Any]]:
    """Fork, and say how far the fork came, also if it did not end."""
    reading, writing = os.pipe()
    if not (pid := os.fork()):
        # When we are gone, nobody else ends it.
        signal.alarm(int((len(entries) + 1) * timeout_s) + 1)
        _import_all(entries, writing)  # never returns
    os.close(writing)
    heard, problem = b"", ""
    while not problem:
        ready, _, _ = select.select([reading], [], [], timeout_s)
        if not ready:
            os.kill(pid, signal.SIGKILL)
            problem = f"its import takes longer than {timeout_s:g} s"
        elif data := os.read(reading, 1 << 16):
            heard += data
        else:
            problem = "its import ended the process"
    os.close(reading)
    _, status = os.waitpid(pid, 0)
    outcomes = [json.loads(line) for line in heard.splitlines()]
    if len(outcomes) < len(entries):
        if os.WIFSIGNALED(status) and "longer" not in problem:
            problem += f" (signal {os.WTERMSIG(status)})"
        outcomes.append({"error": problem})
    rest = [{"error": "not tried: one before it failed"}]
    return outcomes + rest * (len(entries) - len(outcomes))


def _import_all(entries: list[list[str]], answers: int) -> None:
    """Import one after the other; a line of JSON for each."""
    try:
        for words in entries:
            outcome = json.dumps(_import_one(EntryPoint(*_order(words))))
            os.write(answers, outcome.encode() + b"\n")
    finally:
        os._exit(0)


def _order(words: list[str]) -> tuple[str, str, str]:
    """Name, value and group, as an EntryPoint takes them."""
    name, group, value = words
    return name, value, group


def _import_one(entry: EntryPoint) -> dict[str, Any]:
    from qemu_cli.plugins import check

    begin = time.perf_counter()
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", ApiDeprecationWarning)
        try:
            thing = entry.load()
        except (Exception, SystemExit) as error:  # noqa: BLE001
            return {"error": f"{type(error).__name__}: {error}"}
        taken = time.perf_counter() - begin
        try:
            found = check.check(entry.group, thing)
        except (Exception, SystemExit) as error:  # noqa: BLE001
            found = check.Found(f"{type(error).__name__}: {error}")
    notes = [
        str(each.message)
        for each in heard
        if issubclass(each.category, ApiDeprecationWarning)
    ]
    return {
        "import_s": taken,
        "error": found.error,
        "notes": [*found.notes, *notes],
        "hooks": found.hooks,
    }


if __name__ == "__main__":
    main()
