"""The file of a definition that was captured."""

from pathlib import Path

from qemu_cli.errors import NotFoundError, QemuCliError, StateError
from qemu_cli.files import write_new


def check(path: Path) -> None:
    """Refuse a file that is there already.

    :raise StateError: it is
    :raise NotFoundError: there is no directory for it
    """
    if not path.parent.is_dir():
        raise NotFoundError(f"there is no directory {path.parent}")
    if path.is_symlink() or path.exists():
        raise StateError(
            f"there is a file {path} already",
            hint="remove it, or choose another name",
        )


def write(path: Path, text: str) -> None:
    """Write it as a whole, or not at all.

    :raise StateError: somebody else has made it meanwhile
    :raise QemuCliError: it can't be written
    """
    try:
        write_new(path, text)
    except FileExistsError:
        check(path)
    except OSError as error:
        raise QemuCliError(
            f"{path} can't be written: {error.strerror}"
        ) from error
