"""Our directories: owned, writable, with room, and still there tomorrow."""

import os
import shutil
import tempfile
from pathlib import Path

from qemu_cli.instance.doctor.check import Check, fail, ok, warn
from qemu_cli.instance.host import Host
from qemu_cli.paths import SOCKET_PATH_MAX
from qemu_cli.units import format_size

_GIB = 1 << 30
#: A name that is shortened, as :class:`~qemu_cli.paths.Paths` does it.
_SHORTENED = "x" * 100


async def directories(host: Host) -> list[Check]:
    """Whether we can write to all of them, tried out."""
    paths = host.paths
    wanted = {
        "instances": paths.instances,
        "sockets": paths.runtime,
        "cache": paths.cache,
        "settings": paths.user_config.parent,
    }
    return [
        _directory(f"{what} directory", path) for what, path in wanted.items()
    ]


def _directory(check: str, path: Path) -> Check:
    there = _existing(path)
    owner = there.stat().st_uid
    if there == path and owner != os.geteuid():
        return fail(
            check,
            f"{path} belongs to another user (uid {owner})",
            f"sudo chown -R $USER {path}",
        )
    if there == path and path.stat().st_mode & 0o002:
        return fail(check, f"{path}: anybody may write", f"chmod o-w {path}")
    try:
        with tempfile.NamedTemporaryFile(dir=there) as file:
            file.write(b"x" * 4096)
            file.flush()
    except OSError as error:
        return fail(
            check,
            f"{there} can't be written: {error.strerror}",
            "make it writable or make room; XDG_* variables or "
            "QEMU_CLI_HOME move it elsewhere",
        )
    missing = "" if there == path else " (made when it is needed)"
    return ok(check, f"{path}{missing}")


def _existing(path: Path) -> Path:
    """The path, or what there is of it."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


async def sockets(host: Host) -> list[Check]:
    """Whether sockets have room in their addresses, and outlive a logout."""
    found = []
    runtime = host.paths.runtime
    longest = host.paths.instance(_SHORTENED).follower_sockets[0]
    length = len(os.fsencode(longest))
    if length > SOCKET_PATH_MAX:
        found.append(
            fail(
                "socket paths",
                f"{longest} has {length} bytes; {SOCKET_PATH_MAX} is the most",
                "set XDG_STATE_HOME or QEMU_CLI_HOME to a shorter path",
            )
        )
    else:
        detail = f"{length} bytes of {SOCKET_PATH_MAX} in {runtime}"
        found.append(ok("socket paths", detail))
    if runtime.is_relative_to("/run/user"):
        found.append(
            fail(
                "sockets at logout",
                f"{runtime} is wiped when you log out, and running VMs "
                "can't be reached any more",
                "leave XDG_STATE_HOME unset, or set it to a directory that "
                "stays",
            )
        )
    else:
        found.append(ok("sockets at logout", f"{runtime} stays"))
    return found


async def space(host: Host) -> list[Check]:
    """Room for disks to grow: a full disk stops the guests."""
    there = _existing(host.paths.instances)
    free_bytes = shutil.disk_usage(there).free
    detail = f"{format_size(free_bytes)} free in {host.paths.instances}"
    if free_bytes < _GIB:
        fix = "make room: guests are paused when their disks can't grow"
        return [warn("free space", detail, fix)]
    return [ok("free space", detail)]
