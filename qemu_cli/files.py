"""Writing files so that a crash leaves the old one or the new one."""

import contextlib
import os
import tempfile
from pathlib import Path


def write_atomically(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Replace a file as a whole: temporary file, fsync, rename.

    :param path: the file; its directory must exist
    :param text: the new content, written as UTF-8
    :param mode: the permission bits of the new file
    :raise OSError: when the disk is full, read-only …; it names the
        file, which is then untouched, and no temporary file is left
    """
    try:
        _write(path, text, mode)
    except OSError as error:
        error.filename = os.fspath(path)  # not the temporary one, or none
        raise
    sync_directory(path.parent)


def _write(path: Path, text: str, mode: int) -> None:
    descriptor, temporary = tempfile.mkstemp(
        prefix=f".{path.name}.", dir=path.parent
    )
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


def unlink(path: Path) -> None:
    """Remove a file that may not be there.

    Of a read-only file system unlink(2) says so in that case, too.
    """
    if os.path.lexists(path):
        path.unlink(missing_ok=True)


def sync_directory(directory: Path) -> None:
    """Make a rename, a new file or a removal in it survive a crash."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
