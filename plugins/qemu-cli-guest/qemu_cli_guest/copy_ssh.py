"""Copy through ssh: a tar archive from one side to the other."""

import asyncio
import shlex
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from qemu_cli.errors import NotFoundError, QemuCliError
from qemu_cli_guest import ssh
from qemu_cli_guest.copy import Copied
from qemu_cli_guest.unpack import Unpacker

#: No terminal, and nobody is asked.
_QUIETLY = ("-T", "-oBatchMode=yes")

#: What is at a path: as in :mod:`qemu_cli_guest.agent.tree`.
_KIND = """[ -d {0} ] && exec echo directory
[ -e {0} ] && exec echo file
[ -d "$(dirname {0})" ] && exec echo nothing
echo nowhere"""


async def into_guest(server: ssh.Server, source: Path, to: str) -> Copied:
    """Copy a file or a directory into a guest.

    :raise NotFoundError: the source, or where it is to go, is not there
    """
    if not source.exists():
        raise NotFoundError(f"there is no file or directory {source}")
    match await _kind(server, to):
        case "directory":
            to = str(PurePosixPath(to) / source.resolve().name)
        case "nowhere":
            raise NotFoundError(f"there is no directory for {to} in the guest")
    place = PurePosixPath(to)
    line = f"exec tar -x -f - -C {shlex.quote(str(place.parent))}"
    count = [0, 0]

    def facts(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        if info.isfile():
            count[0] += 1
            count[1] += info.size
        return info

    def send(process: "subprocess.Popen[bytes]") -> None:
        assert process.stdin  # noqa: S101
        with (
            process.stdin,
            tarfile.open(fileobj=process.stdin, mode="w|") as archive,
        ):
            archive.add(source, place.name, filter=facts)

    await _through(server, line, send, stdin=subprocess.PIPE)
    return Copied(count[0], count[1], to)


async def out_of_guest(server: ssh.Server, source: str, to: Path) -> Copied:
    """Copy a file or a directory out of a guest.

    :raise NotFoundError: the source, or where it is to go, is not there
    """
    place = PurePosixPath(source)
    if to.is_dir():
        to = to / place.name
    elif not to.parent.is_dir():
        raise NotFoundError(f"there is no directory {to.parent}")
    if await _kind(server, source) in ("nothing", "nowhere"):
        raise NotFoundError(f"there is no {source} in '{server.alias}'")
    parent, name = map(shlex.quote, (str(place.parent), place.name))
    count = [0, 0]

    def receive(process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout  # noqa: S101
        with (
            process.stdout,
            tarfile.open(fileobj=process.stdout, mode="r|") as archive,
        ):
            unpacker = Unpacker(archive, place.name, to)
            for info in archive:
                unpacker.take(info)
                if info.isfile():
                    count[0] += 1
                    count[1] += info.size
            unpacker.finish()

    line = f"exec tar -c -f - -C {parent} -- {name}"
    await _through(server, line, receive, stdout=subprocess.PIPE)
    return Copied(count[0], count[1], str(to))


async def _kind(server: ssh.Server, path: str) -> str:
    argv = server.argv([_KIND.format(shlex.quote(path))], *_QUIETLY)
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    out, _ = await process.communicate()
    if process.returncode:
        raise QemuCliError(f"ssh to '{server.alias}' failed")
    return out.decode().strip()


async def _through(
    server: ssh.Server,
    line: str,
    work: Callable[["subprocess.Popen[bytes]"], None],
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
) -> None:
    """Do something with the pipe to a command, in a thread of its own."""
    argv = server.argv([line], *_QUIETLY)
    # asyncio's own pipes are no files for tarfile.
    with subprocess.Popen(  # noqa: ASYNC220
        argv, stdin=stdin, stdout=stdout
    ) as process:
        try:
            await asyncio.to_thread(work, process)
        except (BrokenPipeError, tarfile.ReadError):
            pass  # the other side ended: its exit code tells
        except BaseException:
            # The thread ends when its pipe does.
            process.kill()
            raise
        code = await asyncio.to_thread(process.wait)
    if code:
        raise QemuCliError(
            f"the copy through ssh failed in '{server.alias}' (exit {code})"
        )
