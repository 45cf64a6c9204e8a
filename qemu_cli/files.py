"""Writing files so that a crash leaves the old one or the new one."""

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def write_atomically(
    path: Path, content: str | bytes, *, mode: int = 0o644
) -> None:
    """Replace a file as a whole: temporary file, fsync, rename.

    :param path: the file; its directory must exist
    :param content: the new one; text is written as UTF-8
    :param mode: the permission bits of the new file
    :raise OSError: when the disk is full, read-only …; it names the
        file, which is then untouched, and no temporary file is left
    """
    try:
        _write(path, content, mode, _replace)
    except OSError as error:
        error.filename = os.fspath(path)  # not the temporary one, or none
        raise
    sync_directory(path.parent)


def write_new(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write a file in the same way, but never over one that is there.

    :raise FileExistsError: there is one
    :raise OSError: see :func:`write_atomically`
    """
    try:
        _write(path, text, mode, _link)
    except OSError as error:
        error.filename = os.fspath(path)
        raise
    sync_directory(path.parent)


def _replace(temporary: Path, path: Path) -> None:
    temporary.replace(path)


def _link(temporary: Path, path: Path) -> None:
    path.hardlink_to(temporary)
    temporary.unlink()


def _write(
    path: Path,
    content: str | bytes,
    mode: int,
    place: Callable[[Path, Path], None],
) -> None:
    descriptor, temporary = tempfile.mkstemp(
        prefix=f".{path.name}.", dir=path.parent
    )
    try:
        data = content.encode() if isinstance(content, str) else content
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        place(Path(temporary), path)
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
