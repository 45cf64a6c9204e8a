"""Copy files and directories into a guest, and out of it.

A file is written under another name and gets its own when it is there as
a whole: whoever is interrupted leaves what was there before.
"""

import asyncio
import contextlib
import hashlib
import os
import secrets
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path, PurePosixPath
from typing import NamedTuple, TypeVar

from qemu_cli.errors import (
    NotFoundError,
    QemuCliError,
    RefusedError,
    UsageError,
)
from qemu_cli.instance.host import Host
from qemu_cli.instance.vm import VM
from qemu_cli.qmp.agent.files import READ_BYTES, WRITE_BYTES
from qemu_cli_guest.agent.line import Line, is_frozen
from qemu_cli_guest.agent.tree import File, GuestTree, Link, Tree

#: What a mode from a guest may say: not set-user-ID, which here would be
#: that of whoever copies.
MODE = 0o777
#: So much is read before others may have the agent, in bytes.
_SLICE_BYTES = 4 << 20
#: A frozen guest is asked again after this, in seconds.
_FROZEN_S = 0.3
#: To remove what was begun may take so long, in seconds.
_UNDO_S = 10.0

_T = TypeVar("_T")

Progress = Callable[[int, int], None]


class Place(NamedTuple):
    """Where something is: ``NAME:PATH``, or a path on this host."""

    name: str | None
    path: str


class Copied(NamedTuple):
    """What was done."""

    files: int
    size_bytes: int
    to: str


def place(text: str) -> Place:
    """Read a place; one with a slash before the colon is on this host."""
    name, colon, path = text.partition(":")
    if not colon or "/" in name:
        return Place(None, text)
    if not path or not name:
        raise UsageError(f"{text}: not NAME:PATH")
    return Place(name, path)


async def into_guest(
    host: Host, vm: VM, source: Path, to: str, *, checksum: bool
) -> Copied:
    """Copy a file or a directory into a guest.

    :param to: a directory that exists, or the copy's own path
    :param checksum: compare SHA-256 of each file afterwards
    :raise NotFoundError: the source, or where it is to go, is not there
    :raise NoAgentError: there is no guest agent
    :raise RefusedError: the guest has no room, or no permission
    """
    tree = _local_tree(source)
    async with _Copying(host, vm) as copying:
        is_device = await copying.guest.kind(to) == "device"
        if not is_device:
            to = await _target(copying.guest, source.resolve().name, to)
        base = PurePosixPath(to)
        directories = [str(base / name) for name in tree.directories]
        await copying.guest.make_directories(directories)
        with host.progress(f"{vm.name}: {source}", "B") as show:
            done = 0
            for file in tree.files:
                await copying.up(
                    *(source / file.name, str(base / file.name), file.mode),
                    is_device=is_device,
                    checksum=checksum and not is_device,
                    show=_shifted(show, done, tree.size_bytes),
                )
                done += file.size_bytes
        await copying.guest.make_links(
            [Link(str(base / link.name), link.to) for link in tree.links]
        )
    return Copied(len(tree.files), tree.size_bytes, to)


async def out_of_guest(
    host: Host, vm: VM, source: str, to: Path, *, checksum: bool
) -> Copied:
    """Copy a file or a directory out of a guest.

    :param to: a directory that exists, or the copy's own path
    :raise NotFoundError: the source, or where it is to go, is not there
    :raise NoAgentError: there is no guest agent
    """
    if to.is_dir():
        to = to / PurePosixPath(source).name
    elif not to.parent.is_dir():
        raise NotFoundError(f"there is no directory {to.parent}")
    async with _Copying(host, vm) as copying:
        tree = await copying.guest.tree(source)
        for name in tree.directories:
            inside(to, name).mkdir(exist_ok=True)
        size = 0
        with host.progress(f"{vm.name}: {source}", "B") as show:
            for file in tree.files:
                size += await copying.down(
                    str(PurePosixPath(source) / file.name),
                    inside(to, file.name),
                    file.mode,
                    checksum=checksum,
                    show=_shifted(show, size, tree.size_bytes),
                )
        for link in tree.links:
            local = inside(to, link.name)
            local.unlink(missing_ok=True)
            local.symlink_to(link.to)
    return Copied(len(tree.files), size, str(to))


class _Copying:
    """One copying: a line to the agent, and one file at a time."""

    def __init__(self, host: Host, vm: VM) -> None:
        self._line = Line(host, vm)
        self._name = vm.name
        self.guest = GuestTree(self._line)

    async def __aenter__(self) -> "_Copying":
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._line.hang_up()

    async def up(
        self,
        source: Path,
        to: str,
        mode: int,
        *,
        is_device: bool,
        checksum: bool,
        show: Progress,
    ) -> None:
        """Copy one file into the guest."""
        part = f"{to}.qemu-{secrets.token_hex(4)}"
        if is_device:
            part = to  # it stays what it is
        digest = hashlib.sha256()
        agent = await self._line.agent()
        handle = await agent.open_file(part, "w")
        try:
            with source.open("rb") as stream:
                done, size = 0, os.fstat(stream.fileno()).st_size
                while block := stream.read(WRITE_BYTES):
                    await self._patiently(self._write, handle, block)
                    if checksum:
                        digest.update(block)
                    done += len(block)
                    show(done, size)
            agent = await self._line.agent()
            await agent.close_file(handle)
            if checksum:
                await self._compare(part, to, digest.hexdigest())
            if not is_device:
                await self.guest.put([(mode, part, to)])
        except BaseException:
            await self._undo(handle, None if is_device else part)
            raise

    async def down(
        self,
        source: str,
        to: Path,
        mode: int,
        *,
        checksum: bool,
        show: Progress,
    ) -> int:
        """Copy one file out of the guest; return its size."""
        part = to.with_name(f".{to.name}.qemu-{secrets.token_hex(4)}")
        is_device = to.exists() and not to.is_file()
        if is_device:
            part = to  # it stays what it is
        digest = hashlib.sha256()
        agent = await self._line.agent()
        handle = await agent.open_file(source)
        try:
            with part.open("wb" if is_device else "xb") as stream:
                done, at_end = 0, False
                while not at_end:
                    blocks = await self._patiently(self._read, handle, done)
                    for block in blocks:
                        stream.write(block)
                        if checksum:
                            digest.update(block)
                    got = sum(map(len, blocks))
                    done, at_end = done + got, got < _SLICE_BYTES
                    show(done, 0)
                if not is_device:
                    os.fchmod(stream.fileno(), mode & MODE)
            agent = await self._line.agent()
            await agent.close_file(handle)
            if checksum:
                await self._compare(source, source, digest.hexdigest())
            if not is_device:
                part.replace(to)
        except BaseException:
            if not is_device:
                part.unlink(missing_ok=True)
            await self._undo(handle, None)
            raise
        return done

    async def _write(self, handle: int, block: bytes) -> None:
        agent = await self._line.agent()
        await agent.write_file(handle, block)

    async def _read(self, handle: int, offset: int) -> list[bytes]:
        agent = await self._line.agent()
        # Who was refused in the middle may have read more.
        await agent.seek_file(handle, offset)
        most = _SLICE_BYTES // READ_BYTES
        return [b async for b in agent.read_blocks(handle, most=most)]

    async def _patiently(
        self, work: Callable[..., Awaitable[_T]], *words: object
    ) -> _T:
        """Do something with the agent; a frozen guest is waited for."""
        while True:
            try:
                return await work(*words)
            except RefusedError as error:
                if not is_frozen(error):
                    raise
            await self._line.hang_up()
            await asyncio.sleep(_FROZEN_S)

    async def _compare(self, path: str, name: str, ours: str) -> None:
        if await self.guest.checksum(path) != ours:
            raise QemuCliError(
                f"{name}: the copy in '{self._name}' is not the same; it "
                "changed meanwhile, or a disk is broken"
            )

    async def _undo(self, handle: int, part: str | None) -> None:
        async def undo() -> None:
            async with asyncio.timeout(_UNDO_S):
                await self._line.hang_up()
                agent = await self._line.agent()
                with contextlib.suppress(RefusedError):
                    await agent.close_file(handle)
                if part:
                    await self.guest.remove(part)

        with contextlib.suppress(QemuCliError, TimeoutError):
            await asyncio.shield(undo())


def _local_tree(source: Path) -> Tree:
    """List a file, or a directory and all that is in it.

    :raise NotFoundError: there is nothing
    """
    if source.is_file():
        return Tree(files=[_local_file(source, ".")])
    if not source.is_dir():
        raise NotFoundError(f"there is no file or directory {source}")
    directories, files, links = [], [], []
    for directory, below, names in os.walk(source):
        here = Path(directory)
        directories.append(str(here.relative_to(source)))
        for name in [*below, *names]:
            path = here / name
            relative = str(path.relative_to(source))
            if path.is_symlink():
                links.append(Link(relative, str(path.readlink())))
            elif path.is_file():
                files.append(_local_file(path, relative))
    return Tree(directories, files, links)


def _local_file(path: Path, name: str) -> File:
    facts = path.stat()
    return File(name, stat.S_IMODE(facts.st_mode), facts.st_size)


async def _target(guest: GuestTree, name: str, to: str) -> str:
    kind = await guest.kind(to)
    if kind == "directory":
        return str(PurePosixPath(to) / name)
    if kind == "nowhere" or to.endswith("/"):
        raise NotFoundError(f"there is no directory for {to} in the guest")
    return to


def inside(base: Path, name: str) -> Path:
    """A path of this host, below one: a guest may say anything.

    :raise QemuCliError: it leads elsewhere
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise QemuCliError(f"the guest names a file {name}: refused")
    for above in [base / each for each in path.parents]:
        if above.is_symlink():
            raise QemuCliError(f"{above} is a link: nothing is put behind it")
    return base / path


def _shifted(show: Progress, before: int, total: int) -> Progress:
    return lambda done, _: show(before + done, total)
