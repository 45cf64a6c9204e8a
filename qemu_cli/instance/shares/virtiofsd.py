"""The program that serves a directory over virtio-fs.

There are two: the one in Rust, and the one in C that came with QEMU 5.0 to
7.2, which wants root.  Where they are is written in files of the host, as
docs/interop/vhost-user.json says.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from qemu_cli.config import Config
from qemu_cli.errors import NotFoundError, StateError
from qemu_cli.instance.model import Share
from qemu_cli.paths import InstancePaths
from qemu_cli.settings import QEMU_PATH

#: The first that has a file of some name hides those of the others.
_DESCRIPTIONS = (
    Path("/etc/qemu/vhost-user"),
    Path("/usr/local/share/qemu/vhost-user"),
    Path("/usr/share/qemu/vhost-user"),
)

#: Where distributions have it, when nothing describes it.
_PLACES = (Path("/usr/libexec/virtiofsd"), Path("/usr/lib/virtiofsd"))

#: It listens when its socket is there, and goes on in the background.  As
#: a shell has it, so that 'command.sh' needs nothing else.
_RUN = """\
socket=$1 log=$2 pid=$3; shift 3; rm -f "$socket"
setsid "$@" </dev/null >"$log" 2>&1 &
echo $! >"$pid"
until [ -S "$socket" ]; do
    kill -0 $! 2>/dev/null || { tail -n 3 "$log" >&2; exit 1; }
    sleep 0.02
done
sleep 0.02  # it listens when it has made its socket"""


class Virtiofsd(NamedTuple):
    """One that can be used.

    :param in_c: it is the one in C
    :param read_only: it can keep the guest from writing
    """

    path: str
    in_c: bool
    read_only: bool


def find(config: Config) -> Virtiofsd:
    """Look for one that this user can run.

    :raise NotFoundError: there is none
    :raise StateError: it wants to be run by root
    """
    path = _path(config)
    if path is None:
        raise NotFoundError(
            "there is no virtiofsd", hint="on Debian: apt install virtiofsd"
        )
    done = subprocess.run(
        [path, "--help"], capture_output=True, text=True, check=False
    )
    words = done.stdout + done.stderr
    in_c = "--shared-dir" not in words
    if in_c and os.geteuid() != 0:
        raise StateError(f"{path} wants to be run by root")
    return Virtiofsd(path, in_c, "--readonly" in words)


def helper(
    virtiofsd: Virtiofsd, share: Share, paths: InstancePaths
) -> tuple[str, ...]:
    """The command that runs it for a share; it is ready when that ends."""
    socket = paths.share_socket(share.id)
    files = [str(socket.with_suffix(each)) for each in (".fs-log", ".fs-pid")]
    argv = [virtiofsd.path, f"--socket-path={socket}"]
    if virtiofsd.in_c:
        # It reads commas as the ends of options, unless quoted (fuse_opt.h).
        source = share.directory.replace("\\", "\\\\").replace(",", "\\,")
        argv += ["-f", "-o", f"source={source}", "-o", "cache=auto,xattr"]
    else:
        argv += [f"--shared-dir={share.directory}", "--cache=auto", "--xattr"]
        if share.read_only:
            argv.append("--readonly")
    return ("sh", "-c", _RUN, "virtiofsd", str(socket), *files, *argv)


def _path(config: Config) -> str | None:
    directory = config[QEMU_PATH]
    own = directory and shutil.which("virtiofsd", path=directory)
    if own:
        return own
    described: dict[str, str] = {}
    for place in _DESCRIPTIONS:
        for file in sorted(place.glob("*.json")):
            described.setdefault(file.name, str(file))
    for name in sorted(described):
        try:
            content = json.loads(Path(described[name]).read_bytes())
        except (OSError, ValueError):
            continue
        if content.get("type") == "fs" and os.access(
            str(content.get("binary")), os.X_OK
        ):
            return str(content["binary"])
    for place in _PLACES:
        if os.access(place, os.X_OK):
            return str(place)
    return shutil.which("virtiofsd")
