"""``qemu version``."""

import argparse
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Any

from qemu_cli import __version__
from qemu_cli.command import ShowOne

#: Raised when an output changes in a way that a program could trip over.
SCHEMA = 1

_PARTS = ("cliff", "stevedore", "pluggy", "qemu.qmp", "msgspec")


class Version(ShowOne):
    """Show the versions of all parts."""

    examples = ("qemu version", "qemu version --all -f json")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add ``--all``."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--all", action="store_true", help="ask each QEMU for its own too"
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        """Ask the installed distributions."""
        versions: dict[str, Any] = {
            "qemu-cli": __version__,
            "schema": SCHEMA,
            "python": sys.version.split()[0],
            **{part: metadata.version(part) for part in _PARTS},
            "qemu": self._emulators(parsed_args.all),
        }
        return tuple(versions), tuple(versions.values())

    def _emulators(self, ask: bool) -> list[dict[str, Any]]:
        """The QEMU of each architecture that there is."""
        from qemu_cli.emulator import binary

        found = binary.available(self.app.config)
        rows: list[dict[str, Any]] = [
            {"arch": arch, "path": path} for arch, path in found.items()
        ]
        if ask:
            from qemu_cli.command import loop
            from qemu_cli.emulator import abilities

            paths = self.app.paths

            async def ask_all() -> None:
                for row in rows:
                    facts = await abilities.load(row["path"], paths)
                    row["version"] = ".".join(map(str, facts.version))
                    row["package"] = facts.package

            loop.run(ask_all())
        return rows
