"""Copying an image into another format: all of it, or nothing at all.

qemu-img writes into a directory beside the target, and what is complete
is moved out of it: a kill or a full disk leaves no half image under the
name that was asked for.
"""

import os
import re
import shutil
from collections.abc import Callable, Collection
from pathlib import Path

from qemu_cli.errors import (
    BusyError,
    NotFoundError,
    QemuCliError,
    StateError,
    ToolError,
)
from qemu_cli.files import sync_directory
from qemu_cli.steps import run_tool
from qemu_cli.storage import holders
from qemu_cli.storage.qemu_img import convert_argv

_PROGRESS = re.compile(rb"\((\d+)\.(\d\d)/100%\)")

#: Formats that qemu-img can write compressed.
COMPRESSED = ("qcow2", "vmdk")


async def convert(
    qemu_img: str,
    source: Path,
    source_format: str,
    target: Path,
    target_format: str,
    *,
    compress: bool = False,
    progress: Callable[[int, int], object],
) -> None:
    """Copy an image, with its backing chain, into a new one.

    Cancelled, it leaves nothing.

    :param progress: is told parts done, and all
    :raise StateError: there is such a target already
    :raise BusyError: another command is making it; or the source's lock
    :raise ToolError: with qemu-img's words
    """
    target = target.absolute()
    require_new(target)
    directory = target.with_name(f".{target.name}.partial")
    try:
        _claim(directory)
        try:
            made = directory / target.name
            argv = convert_argv(
                *(qemu_img, source, source_format, made, target_format),
                progress=True,
                compress=compress,
            )
            with holders.naming(source):
                await _run(argv, progress, target.parent)
            require_new(target)  # it may have come meanwhile
            made.rename(target)
            sync_directory(target.parent)
        finally:
            shutil.rmtree(directory, ignore_errors=True)
    except OSError as error:
        raise QemuCliError(
            f"{target} can't be made: {error.strerror}"
        ) from error


def require_new(target: Path) -> None:
    """Refuse to make a file where there is one, or where none can be.

    :raise StateError: there is one
    :raise NotFoundError: its directory is missing
    :raise QemuCliError: nothing can be made there
    """
    if os.path.lexists(target):
        raise StateError(
            f"{target} exists already",
            hint="nothing is overwritten: choose another name, or remove it",
        )
    if not target.parent.is_dir():
        raise NotFoundError(f"there is no directory {target.parent}")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise QemuCliError(
            f"{target} can't be made: {target.parent} is read-only for you"
        )


async def following(
    argv: tuple[str, ...],
    progress: Callable[[int, int], object],
    *,
    good: Collection[int] = (0,),
) -> str:
    """Run qemu-img with ``-p``, and pass on how far it is.

    :return: what it says
    :raise ToolError: with qemu-img's words
    """

    def listen(piece: bytes) -> None:
        if seen := _PROGRESS.findall(piece):
            whole, hundredths = seen[-1]
            progress(int(whole) * 100 + int(hundredths), 100_00)

    return await run_tool(argv, listen=listen, good=good)


async def _run(
    argv: tuple[str, ...],
    progress: Callable[[int, int], object],
    directory: Path,
) -> None:
    try:
        await following(argv, progress)
    except ToolError as error:
        if "No space left on device" in str(error):
            error.hint = f"make room on the file system of {directory}"
        raise


def _claim(directory: Path) -> None:
    """Make the directory; one that a killed program left is removed."""
    if directory.is_dir():
        busy = holders.of_each(directory.iterdir())
        for found in busy.values():
            raise BusyError(
                f"the image is being made by {holders.listed(found)}"
            )
        shutil.rmtree(directory)
    directory.mkdir(mode=0o700)
