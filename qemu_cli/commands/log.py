"""qemu log."""

import argparse
import itertools
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qemu_cli.columns import Named, plain
from qemu_cli.command import Lister
from qemu_cli.command.times import local
from qemu_cli.errors import StateError, UsageError
from qemu_cli.ui import printable
from qemu_cli.units import format_duration

if TYPE_CHECKING:
    from qemu_cli.command.display import Table
    from qemu_cli.instance.vm import VM

_COLUMNS = ("time", "action", "outcome", "user", "command", "details")

#: What --follow begins with when no -n says otherwise.
_FOLLOWED_LINES = 10


class Log(Lister):
    """Show what was done to a VM, the newest first, and how it ended.

    Of a VM that somebody else started, that is what was done to it since
    'qemu join'.

    With --serial: what the guest wrote to its first serial port; with
    --qemu: what QEMU itself said.  On a terminal, control characters of
    the guest are made harmless; to a file or a pipe goes what it wrote.
    """

    examples = (
        "qemu log web",
        "qemu log web -n 5 -f json",
        "qemu log web --serial --follow",
        "qemu log web --qemu",
    )
    table_columns = ("time", "action", "outcome", "user", "command")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="a VM")
        which = parser.add_mutually_exclusive_group()
        which.add_argument(
            "--serial", action="store_true", help="the guest's serial port"
        )
        which.add_argument(
            "--qemu", action="store_true", help="QEMU's own messages"
        )
        parser.add_argument(
            "-n",
            dest="count",
            type=_count,
            metavar="N",
            help="only the last N entries or lines",
        )
        parser.add_argument(
            "--follow",
            action="store_true",
            help="go on with what comes, the oldest first, until Ctrl-C",
        )
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        from qemu_cli.instance.resolve import anyone

        host = self.app.host
        vm = anyone(host, parsed_args.name, ask=False)
        if vm.foreign:
            _check_stranger(vm, parsed_args)
        if parsed_args.serial or parsed_args.qemu:
            from qemu_cli.command import loop
            from qemu_cli.instance import logs

            _check_plain(parsed_args)
            serial = parsed_args.serial
            log = vm.paths.serial_log if serial else vm.paths.qemu_log
            if not log.exists():
                self.app.ui.say(f"there is no {log} yet: it was never started")
            if serial and vm.alive:
                loop.run(logs.bound(self.app.host_of(vm), vm))
            self._show_file(log, parsed_args)
            return 0
        if parsed_args.follow:
            self._follow_history(vm, parsed_args)
            return 0
        parsed_args.vm = vm
        return super().run(parsed_args)

    def take_action(self, parsed_args: argparse.Namespace) -> "Table":
        entries = _entries(parsed_args.vm)[::-1]
        return _COLUMNS, map(_row, entries[: parsed_args.count])

    def _follow_history(self, vm: "VM", args: argparse.Namespace) -> None:
        form = self.format_name(args)
        if form not in ("table", "ndjson") or args.sort or args.columns:
            raise UsageError(
                "--follow writes lines, or with -f ndjson JSON; there is no "
                "other format, order or choice of columns"
            )
        from qemu_cli.command import loop
        from qemu_cli.formatters.json import dump

        async def write() -> None:
            lines = _FOLLOWED_LINES if args.count is None else args.count
            async for entry in _coming(vm.paths.history, lines):
                row = _row(entry)
                if form == "ndjson":
                    data = dict(zip(_COLUMNS, map(plain, row), strict=True))
                    dump(data, self.app.stdout, indent=None)
                else:
                    self.app.stdout.write(_line(row) + "\n")
                self.app.stdout.flush()

        loop.run(write())

    def _show_file(self, log: Path, args: argparse.Namespace) -> None:
        from qemu_cli.instance import logs
        from qemu_cli.instance.rotation import aside

        count = args.count
        if args.follow:
            count = _FOLLOWED_LINES if count is None else count
            self._follow_file(log, logs.tail_offset(log, count))
            return
        blocks = logs.read(log, logs.tail_offset(log, count))
        if count is None:
            blocks = itertools.chain(logs.read(aside(log), 0), blocks)
        if not self.app.stdout.isatty():
            for block in blocks:
                self.app.stdout.buffer.write(block)
            return
        from qemu_cli.command.guest_text import GuestText

        text = GuestText()
        for block in blocks:
            self.app.stdout.write(text.feed(block))
        self.app.stdout.write(text.feed(b"", final=True))

    def _follow_file(self, log: Path, offset: int) -> None:
        from qemu_cli.command import loop
        from qemu_cli.command.guest_text import GuestText
        from qemu_cli.instance import logs

        text = GuestText()
        terminal = self.app.stdout.isatty()

        async def write() -> None:
            async for block in logs.follow(log, offset):
                if terminal:
                    self.app.stdout.write(text.feed(block))
                else:
                    self.app.stdout.buffer.write(block)
                self.app.stdout.flush()

        loop.run(write())


def _check_stranger(vm: "VM", args: argparse.Namespace) -> None:
    """Of a VM that somebody else started we have a log if it is joined."""
    if not vm.joined:
        raise StateError(
            f"'{vm.name}' is no instance of yours: it has no log",
            hint=f"'qemu join {vm.reference}' begins one",
        )
    if args.serial or args.qemu:
        raise StateError(
            f"'{vm.name}' is no instance of yours: what it and its QEMU say "
            "goes elsewhere",
            hint="its log here is of what was done to it",
        )


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise UsageError(f"-n {text}: not a number of lines")
    return int(text)


def _check_plain(args: argparse.Namespace) -> None:
    if args.formatter or args.columns or args.sort:
        raise UsageError(
            "--serial and --qemu are plain text: they have no format, "
            "columns or order"
        )


def _entries(vm: "VM") -> list[dict[str, Any]]:
    """The history, and the end of the last run if nobody noted it yet."""
    from qemu_cli.instance import details, history

    entries = list(history.entries(vm.paths.history))
    last = details.last_exit(vm)
    run = history.last_run(vm.paths)
    if last and run and not run[1]:
        entries.append({"action": "exit", **last._asdict()})
    started: float | None = None
    for entry in entries:
        if entry["action"] == "start" and "error" not in entry:
            started = entry.get("time")
        elif entry["action"] == "exit" and started is not None:
            entry["ran_s"] = max(0.0, entry.get("time", started) - started)
    return entries


async def _coming(path: Path, count: int) -> AsyncIterator[dict[str, Any]]:
    """The last entries, and those that are added."""
    from qemu_cli.instance import history, logs

    rest = b""
    async for block in logs.follow(path, logs.tail_offset(path, count)):
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            if entry := history.parse(line.decode(errors="replace")):
                yield entry


def _row(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    when = entry.get("time")
    error = entry.get("error")
    outcome, text = "ok", "ok"
    if error is not None:
        outcome = "failed"
        text = "failed: " + "; ".join(str(error).splitlines())
    elif entry["action"] == "exit":
        outcome = text = str(entry.get("reason", ""))
        if "ran_s" in entry:
            text += f" after {format_duration(entry['ran_s'])}"
    known = ("time", "action", "user", "command", "reason")
    details = {key: value for key, value in entry.items() if key not in known}
    return (
        Named(when, local(when)) if isinstance(when, int | float) else None,
        str(entry["action"]),
        Named(outcome, text),
        entry.get("user"),
        entry.get("command"),
        Named(details, _words(details)),
    )


def _words(details: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in details.items())


def _line(row: Iterable[Any]) -> str:
    from qemu_cli.columns import human

    when, action, outcome, user, command, _ = map(human, row)
    return printable(f"{when}  {action:8}  {outcome}  {user}  {command}")
