"""What the user wants to share."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from qemu_cli.errors import NotFoundError, UsageError

#: As in :class:`qemu_cli.instance.model.Share`, which costs more to import.
_TAG = re.compile(r"[A-Za-z0-9._-]{1,31}")


@dataclass(frozen=True)
class ShareWish:
    """A directory to share.

    :param tag: by which the guest mounts it
    :param driver: ``virtiofs`` or ``9p``; None: the better one that works
    """

    directory: Path
    tag: str
    read_only: bool = False
    driver: str | None = None


def parse_share(text: str, *, driver: str | None = None) -> ShareWish:
    """Read ``DIR[:TAG][,ro]``; the tag is the directory's name unless told.

    :raise UsageError: it can't be understood
    :raise NotFoundError: there is no such directory
    """
    source, tag, read_only = text, None, False
    if not _is_directory(source) and source.endswith((",ro", ",rw")):
        source, read_only = source[:-3], source.endswith(",ro")
    if not _is_directory(source) and ":" in source:
        source, _, tag = source.rpartition(":")
        if not _TAG.fullmatch(tag):
            raise UsageError(
                f"{tag!r} is no tag: letters, digits, '.', '_' and '-', 31 "
                "at most"
            )
    if not source:
        raise UsageError(f"{text!r} names no directory")
    directory = Path(os.path.abspath(Path(source).expanduser()))  # noqa: PTH100
    if not directory.is_dir():
        if directory.exists():
            raise UsageError(f"{directory} is no directory")
        raise NotFoundError(f"there is no directory {directory}")
    return ShareWish(directory, tag or _tag(directory), read_only, driver)


def _is_directory(text: str) -> bool:
    return text != "" and Path(text).expanduser().is_dir()


def _tag(directory: Path) -> str:
    tag = re.sub(r"[^A-Za-z0-9._-]+", "-", directory.name).strip("-")
    return tag[:31] or "root"
