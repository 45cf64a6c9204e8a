"""Files and directories in the guest, as a shell there sees them."""

import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from qemu_cli.errors import NotFoundError, QemuCliError
from qemu_cli_guest.agent import scripts
from qemu_cli_guest.agent.line import Line

#: A command line holds so many names.
_BATCH = 200

_KIND = """
[ -d "$1" ] && exec echo directory
[ -f "$1" ] && exec echo file
[ -e "$1" ] && exec echo device
[ -d "$(dirname "$1")" ] && exec echo nothing
echo nowhere
"""

#: Directories, files, their modes and sizes, links and where they lead.
_LIST = r"""
cd "$1" || exit 1
find . -type d -exec printf '%s\0' {} + && printf '\0'
find . -type f -exec printf '%s\0' {} + && printf '\0'
find . -type f -exec stat -c '%a %s' {} + && printf '\0'
find . -type l -exec printf '%s\0' {} + && printf '\0'
find . -type l -exec readlink -n {} \; -exec printf '\0' \; && printf '\0'
"""

_STAT = 'exec stat -L -c "%a %s" "$1"'

_MKDIR = 'exec mkdir -p "$@"'

_LINK = """
while [ $# -gt 0 ]; do
    rm -f "$2" && ln -s "$1" "$2" || exit 1
    shift 2
done
"""

#: ``sh MODE FROM TO …``
_PUT = """
while [ $# -gt 0 ]; do
    chmod "$1" "$2" && mv -f "$2" "$3" || exit 1
    shift 3
done
"""

_SUM = 'exec sha256sum "$@"'


class File(NamedTuple):
    """A file, below where the copying begins (``.``: it is that)."""

    name: str
    mode: int
    size_bytes: int


class Link(NamedTuple):
    """A symbolic link."""

    name: str
    to: str


class Tree(NamedTuple):
    """All that is to be copied; directories stand before what they hold."""

    directories: Sequence[str] = ()
    files: Sequence[File] = ()
    links: Sequence[Link] = ()

    @property
    def size_bytes(self) -> int:
        """All files together."""
        return sum(file.size_bytes for file in self.files)


class GuestTree:
    """What a shell in the guest does with files.

    Names are bytes there; those that are no UTF-8 can't be copied.
    """

    def __init__(self, line: Line) -> None:
        self._line = line

    async def kind(self, path: str) -> str:
        """What a path is: directory, file, device, nothing, or nowhere."""
        return (await self._run(_KIND, path)).decode().strip()

    async def tree(self, path: str) -> Tree:
        """List a file, or a directory and all that is in it.

        :raise NotFoundError: there is nothing
        :raise QemuCliError: it can't be read
        """
        kind = await self.kind(path)
        if kind in ("file", "device"):
            mode, size = (await self._run(_STAT, path)).decode().split()
            return Tree(files=[File(".", int(mode, 8), int(size))])
        if kind != "directory":
            raise NotFoundError(
                f"there is no {path} in '{self._line.vm.name}'"
            )
        try:
            text = (await self._run(_LIST, path)).decode()
        except UnicodeDecodeError as error:
            raise QemuCliError(
                f"{path}: a name in it is not UTF-8: {error.object!r:.60}"
            ) from None
        return _parsed(text)

    async def make_directories(self, paths: Sequence[str]) -> None:
        """Make directories, and those above them."""
        await self._batches(_MKDIR, [(path,) for path in paths])

    async def make_links(self, links: Sequence[Link]) -> None:
        """Make symbolic links, in the place of what was there."""
        await self._batches(_LINK, [(link.to, link.name) for link in links])

    async def put(self, files: Iterable[tuple[int, str, str]]) -> None:
        """Give files their modes and names.

        :param files: mode, temporary path, path
        """
        words = [(f"{mode:o}", was, to) for mode, was, to in files]
        await self._batches(_PUT, words)

    async def remove(self, path: str) -> None:
        """Remove a file that may not be there."""
        await self._run('exec rm -f "$1"', path)

    async def checksum(self, path: str) -> str:
        """SHA-256 of a file, in hex."""
        return (await self._run(_SUM, path)).decode().lstrip("\\")[:64]

    async def _batches(
        self, script: str, words: Sequence[tuple[str, ...]]
    ) -> None:
        for begin in range(0, len(words), _BATCH):
            batch = itertools.chain(*words[begin : begin + _BATCH])
            await self._run(script, *batch)

    async def _run(self, script: str, *words: str) -> bytes:
        agent = await self._line.agent()
        done = await agent.run(scripts.argv(script, *words))
        if done.exit_code or done.truncated:
            said = done.err.decode(errors="replace").strip()
            raise QemuCliError(
                f"'{self._line.vm.name}': {said or 'too many files'}"
            )
        return done.out


def _parsed(text: str) -> Tree:
    """Read what :data:`_LIST` prints: each list ends with an empty word."""
    words = iter(text.split("\0"))

    def some() -> list[str]:
        return list(iter(lambda: next(words, ""), ""))

    directories, names = some(), some()
    # The modes and sizes are lines, up to the NUL behind them.
    facts = next(words, "").splitlines()
    links, ways = some(), some()
    files = []
    for name, fact in zip(names, facts, strict=True):
        mode, size = fact.split()
        files.append(File(name, int(mode, 8), int(size)))
    return Tree(directories, files, list(map(Link, links, ways)))
