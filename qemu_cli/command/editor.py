"""Letting a person edit a file."""

import os
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from qemu_cli.errors import QemuCliError, UsageError
from qemu_cli.settings import EDITOR

if TYPE_CHECKING:
    from qemu_cli.app import QemuApp


def edit(app: "QemuApp", file: Path) -> None:
    """Run the editor on a file, and wait until the person is done.

    :raise UsageError: there is no such editor
    :raise QemuCliError: it failed
    """
    command = (
        app.config[EDITOR]
        or os.environ.get("VISUAL")
        or os.environ.get("EDITOR")
        or "vi"
    )
    try:
        done = subprocess.run([*shlex.split(command), file], check=False)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"the editor '{command}' can't be run: {reason}",
            hint="'qemu config set editor COMMAND' names another",
        ) from error
    if done.returncode:
        raise QemuCliError(
            f"the editor '{command}' failed with exit code {done.returncode}"
        )
