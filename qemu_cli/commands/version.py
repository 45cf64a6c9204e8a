"""``qemu version``."""

import argparse
import platform
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

    examples = ("qemu version", "qemu version -f json")

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        """Ask the installed distributions."""
        versions: dict[str, Any] = {
            "qemu-cli": __version__,
            "schema": SCHEMA,
            "python": platform.python_version(),
            **{part: metadata.version(part) for part in _PARTS},
        }
        return tuple(versions), tuple(versions.values())
