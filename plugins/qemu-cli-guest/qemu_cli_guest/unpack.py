"""Take the members of a guest's tar archive, for which nobody vouches.

:mod:`tarfile` has filters for that since Python 3.11.4; Debian 12 has
3.11.2. So the members are read here, and made here.
"""

import os
import secrets
import shutil
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO

from qemu_cli.errors import QemuCliError
from qemu_cli_guest.copy import MODE, inside


class Unpacker:
    """What an archive has below one name goes to one path of this host.

    Nothing is made or written elsewhere, whatever names and links there
    are. Symbolic links are made as they are: they may lead out, and
    nothing is written through them.
    """

    def __init__(self, archive: tarfile.TarFile, name: str, to: Path) -> None:
        """:param name: the one name; others are refused
        :param to: what it becomes
        """
        self._archive = archive
        self._name = name
        self._to = to
        # A device, or a pipe, stays what it is. Seen now: later it may be
        # a link of the archive's.
        self._is_device = to.exists() and not (to.is_file() or to.is_dir())
        self._directories: list[tuple[Path, tarfile.TarInfo]] = []

    def take(self, info: tarfile.TarInfo) -> None:
        """Make a file, a directory or a link; others are left out.

        :raise QemuCliError: it would not be where it belongs
        :raise OSError: it can't be made
        """
        place = self._place(info.name)
        if info.isdir():
            if place.is_symlink():
                raise QemuCliError(f"{place} is a link: it stays")
            place.mkdir(0o700, exist_ok=True)
            self._directories.append((place, info))
        elif self._is_device and place == self._to:
            with place.open("wb") as stream:
                self._read(info, stream)
        elif info.isreg() or info.issym() or info.islnk():
            part = place.with_name(
                f".{place.name}.qemu-{secrets.token_hex(4)}"
            )
            try:
                self._make(info, part)
                part.replace(place)
            finally:
                part.unlink(missing_ok=True)

    def finish(self) -> None:
        """Give the directories their modes and times, all being in them."""
        for place, info in reversed(self._directories):
            place.chmod(info.mode & MODE)
            os.utime(place, (info.mtime, info.mtime))

    def _make(self, info: tarfile.TarInfo, part: Path) -> None:
        if info.issym():
            part.symlink_to(info.linkname)
        elif info.islnk():
            # It names a file as the members are named.
            there = self._place(info.linkname)
            os.link(there, part, follow_symlinks=False)
        else:
            with part.open("xb") as stream:
                self._read(info, stream)
                os.fchmod(stream.fileno(), info.mode & MODE)
            os.utime(part, (info.mtime, info.mtime))

    def _read(self, info: tarfile.TarInfo, stream: IO[bytes]) -> None:
        source = self._archive.extractfile(info)
        if source:
            shutil.copyfileobj(source, stream)

    def _place(self, name: str) -> Path:
        try:
            below = PurePosixPath(name).relative_to(self._name)
        except ValueError:
            raise QemuCliError(
                f"the guest names a file {name}: refused"
            ) from None
        return inside(self._to, str(below))
