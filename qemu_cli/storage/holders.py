"""Who has an image open: the locks of QEMU do not say it.

QEMU's image locks are OFD locks (fcntl(2)), for which /proc/locks has no
pid; so we look for the file among all that processes have open.
"""

import contextlib
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from qemu_cli.errors import BusyError, QemuCliError
from qemu_cli.proc import ProcFS, file_id

#: What QEMU and qemu-img say, and on a second line which file it is.
#: Over QMP there is no second line.
_LOCKED = re.compile(r'Failed to get (?:shared )?"[a-z ]+" lock')
_WHICH = re.compile(r"^Is another process using the image \[(.*)\]\?$", re.M)

#: How QEMU takes a VM's name; a comma in it is doubled.
_NAME = re.compile(r"(?:.*,)?guest=((?:[^,]|,,)*)(?:,[^,].*)?")


class Holder(NamedTuple):
    """A process that has an image open.

    :param program: its name, such as ``qemu-nbd``
    :param vm: what the VM is called (``-name``), if it is a QEMU
    :param writes: whether it opened the image for writing
    """

    pid: int
    program: str
    vm: str | None
    writes: bool

    def __str__(self) -> str:
        """For a message: ``'web' (qemu-system-x86_64, pid 4711)``."""
        if self.vm:
            return f"'{self.vm}' ({self.program}, pid {self.pid})"
        return f"{self.program} (pid {self.pid})"


def holders(path: Path, *, procfs: ProcFS | None = None) -> list[Holder]:
    """Find the processes that have an image open, by whatever name.

    :param procfs: another /proc, for tests
    :return: those that we may look at; another user's are not among them
    """
    return of_each([path], procfs=procfs).get(path, [])


def of_each(
    paths: Iterable[Path], *, procfs: ProcFS | None = None
) -> dict[Path, list[Holder]]:
    """Find the holders of many images with one look at /proc.

    :return: only images that somebody has open
    """
    wanted: dict[tuple[int, int], Path] = {}
    for path in paths:
        with contextlib.suppress(OSError):  # nobody has what is not there
            wanted.setdefault(file_id(path.stat()), path)
    found: dict[Path, dict[int, Holder]] = {}
    for process, file, writable in (procfs or ProcFS()).opened(wanted):
        pid, argv = process.pid, process.argv
        program = Path(argv[0]).name if argv else "?"
        # It may have the file open twice: once to read, once to write.
        known = found.setdefault(wanted[file], {})
        writes = writable or (pid in known and known[pid].writes)
        known[pid] = Holder(pid, program, vm_name(argv), writes)
    return {path: sorted(each.values()) for path, each in found.items()}


def vm_name(argv: Sequence[str]) -> str | None:
    """Read the VM's name from a QEMU's command line (``-name``)."""
    for option, value in itertools.pairwise(argv):
        if option in ("-name", "--name"):
            match = _NAME.fullmatch(value)
            name = match[1] if match else value.partition(",")[0]
            return name.replace(",,", ",")
    return None


def listed(found: Iterable[Holder]) -> str:
    """Name holders in a message."""
    return ", ".join(map(str, found))


def busy(file: Path, found: Iterable[Holder]) -> BusyError:
    """Tell who has an image open."""
    return BusyError(
        f"the image {file} is in use by {listed(found)}",
        hint="end that first, or wait until it is done",
    )


def explained(error: QemuCliError, *files: Path) -> QemuCliError:
    """Turn QEMU's ``Failed to get "write" lock`` into who has the lock.

    :param error: what QEMU or qemu-img said
    :param files: what it may have been about; it says so itself mostly
    :return: a BusyError; the same error if it is about something else
    """
    text = str(error)
    if not _LOCKED.search(text):
        return error
    named = [Path(each) for each in _WHICH.findall(text)] or [*files]
    for file, found in of_each(named).items():
        return busy(file, found)
    what = f"the image {named[0]}" if named else "an image"
    return BusyError(
        f"{what} is in use by a process that we may not look at",
        hint="it is another user's, or has just ended",
    )


@contextlib.contextmanager
def naming(*files: Path) -> Iterator[None]:
    """Name the holder when the block fails for an image's lock.

    :raise BusyError: see :func:`explained`
    """
    try:
        yield
    except QemuCliError as error:
        better = explained(error, *files)
        if better is error:
            raise
        raise better from error
