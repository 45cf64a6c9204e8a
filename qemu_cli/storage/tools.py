"""Where QEMU's programs and their helpers are."""

import shutil
from typing import Any, Protocol

from qemu_cli.errors import NotFoundError

#: The Debian package of each program that we may need.
PACKAGES = {
    "qemu-img": "qemu-utils",
    "qemu-nbd": "qemu-utils",
    "qemu-storage-daemon": "qemu-system-common",
    "swtpm": "swtpm",
}


class Settings(Protocol):
    """What is asked of the configuration here."""

    def get(self, key: str) -> Any:
        """The value of a setting, such as ``qemu.path``."""


def look_for(program: str, settings: Settings) -> str | None:
    """Find a program in the directory ``qemu.path``, then on ``PATH``.

    :return: its absolute path, or None
    """
    directory = settings.get("qemu.path")
    return (
        shutil.which(program, path=str(directory)) if directory else None
    ) or shutil.which(program)


def find(program: str, settings: Settings) -> str:
    """Find a program in the directory ``qemu.path``, then on ``PATH``.

    :raise NotFoundError: with the Debian package that has it in the hint
    """
    path = look_for(program, settings)
    if path is None:
        package = PACKAGES.get(program, program)
        raise NotFoundError(
            f"the program {program} is not installed",
            hint=f"on Debian: apt install {package}; elsewhere say where it"
            " is: qemu config set qemu.path DIRECTORY",
        )
    return path
