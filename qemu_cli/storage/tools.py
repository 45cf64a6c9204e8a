"""Where QEMU's programs and their helpers are."""

import shutil

from qemu_cli.config import Config
from qemu_cli.errors import NotFoundError
from qemu_cli.settings import QEMU_PATH

#: The Debian packages of programs that are not called as they are.
_PACKAGES = {
    "qemu-img": "qemu-utils",
    "qemu-nbd": "qemu-utils",
    "qemu-storage-daemon": "qemu-system-common",
}


def look_for(program: str, config: Config) -> str | None:
    """Find a program in the directory ``qemu.path``, then on ``PATH``.

    :return: its absolute path, or None
    """
    directory = config[QEMU_PATH]
    return (
        shutil.which(program, path=directory) if directory else None
    ) or shutil.which(program)


def find(program: str, config: Config) -> str:
    """Find a program in the directory ``qemu.path``, then on ``PATH``.

    :raise NotFoundError: with the Debian package that has it in the hint
    """
    path = look_for(program, config)
    if path is None:
        package = _PACKAGES.get(program, program)
        raise NotFoundError(
            f"the program {program} is not installed",
            hint=f"on Debian: apt install {package}; elsewhere say where it"
            " is: qemu config set qemu.path DIRECTORY",
        )
    return path
