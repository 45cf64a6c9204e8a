"""qemu capture."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qemu_cli.columns import Named
from qemu_cli.command import ShowOne

if TYPE_CHECKING:
    from qemu_cli.instance.capture.service import Captured


class Capture(ShowOne):
    """Write a definition that starts the same machine as one that runs.

    Whoever started it: its command line is read, and its monitor asked
    where nobody holds it.  It runs on as it did.  Disks are named where
    they are, not copied: start the new one when the old one has ended.

    On stderr stands what the definition has no word for: what was kept as
    it is in qemu_args, changed, or dropped.  'qemu create NAME
    --definition FILE' makes an instance of the file.
    """

    examples = (
        "qemu capture pid:4711 --to web.toml",
        "qemu capture lima:default -f json",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "reference",
            metavar="REF",
            help="a VM: its name, pid:N, qmp:ADDRESS or ORIGIN:NAME",
        )
        parser.add_argument(
            "--to",
            type=Path,
            metavar="FILE",
            help="write it there, where nothing is yet (default: stdout)",
        )
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        if parsed_args.formatter or parsed_args.columns:
            return super().run(parsed_args)
        done = self._capture(parsed_args)
        for note in done.notes:
            now = f" → {note.now}" if note.now else ""
            self.app.ui.say(f"{note.fate}: {note.word}{now} ({note.why})")
        if parsed_args.to is None:
            self.app.stdout.write(done.text)
        return 0

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        done = self._capture(parsed_args)
        report = [note._asdict() for note in done.notes]
        row = {
            "file": str(parsed_args.to) if parsed_args.to else None,
            "asked": done.asked,
            "definition": done.text if parsed_args.to is None else None,
            "report": Named(
                report,
                "\n".join(f"{note.fate}: {note.word}" for note in done.notes),
            ),
        }
        return list(row), list(row.values())

    def _capture(self, args: argparse.Namespace) -> "Captured":
        from qemu_cli.command import loop
        from qemu_cli.instance import resolve
        from qemu_cli.instance.capture import keep, service

        if args.formatter:
            self.formatter(args)  # not misspelt, before the deed
        if args.to:
            keep.check(args.to)
        vm = resolve.anyone(self.app.host, args.reference)
        done = loop.run(service.capture(self.app.host_of(vm), vm))
        if args.to:
            keep.write(args.to, done.text)
            self.app.ui.say(f"{vm.name}: captured in {args.to}")
            if not args.formatter:
                self.app.ui.advise(
                    "capture",
                    f"'qemu create NAME --definition {args.to}' makes an "
                    "instance of it",
                )
        return done
