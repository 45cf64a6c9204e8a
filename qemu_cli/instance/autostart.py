"""Starting a VM with the host, and shutting it down before the host is.

A unit file and a link to it, as ``systemctl enable`` makes them; made by
us, so that it works where systemd does not run just now.
"""

import getpass
import os
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from qemu_cli import settings
from qemu_cli.errors import (
    NotFoundError,
    QemuCliError,
    StateError,
    ToolError,
)
from qemu_cli.files import write_atomically
from qemu_cli.instance import history
from qemu_cli.instance.host import Host
from qemu_cli.instance.unit import Unit, target
from qemu_cli.paths import InstancePaths, unit_directory
from qemu_cli.steps import run_tool

#: What says where our files are; a unit does not have our environment.
_VARIABLES = (
    "QEMU_CLI_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
)

_LINGER = Path("/var/lib/systemd/linger")


class Enabled(NamedTuple):
    """What was done.

    :param file: the unit file
    :param hints: what else is needed for it to work
    """

    file: Path
    hints: list[str]


def plan(host: Host, paths: InstancePaths, *, system: bool) -> Unit:
    """Work out the unit of an instance; changes nothing.

    :param system: a unit of the host, not of this user's session
    :raise NotFoundError: our own executable is not found
    """
    return Unit(
        name=paths.name,
        program=_program(),
        pid_file=paths.pid_file,
        shutdown_s=host.config[settings.SHUTDOWN_TIMEOUT],
        environment={
            key: str(Path(value).absolute())
            for key in _VARIABLES
            if (value := os.environ.get(key))
        },
        user=getpass.getuser() if system else None,
    )


def file_of(paths: InstancePaths, *, system: bool) -> Path:
    """Where the unit file is, or would be."""
    directory = unit_directory(os.environ, system=system)
    return directory / f"qemu-{paths.name}.service"


async def enable(host: Host, paths: InstancePaths, unit: Unit) -> Enabled:
    """Write the unit file, and link it to what is started at boot.

    Doing it again renews the file.

    :raise StateError: there is a unit of that name that is not ours
    :raise QemuCliError: the directory can't be written
    """
    system = unit.user is not None
    file, link = file_of(paths, system=system), _link(paths, system=system)
    if file.exists() and not _is_of(file, paths):
        raise StateError(
            f"{file} is not the unit of this instance",
            hint="rename the instance, or remove that file",
        )
    try:
        link.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, unit.text())
        link.unlink(missing_ok=True)
        link.symlink_to(file)
    except PermissionError as error:
        raise QemuCliError(
            f"{error.filename}: {error.strerror}",
            hint="a unit of the host needs root; without --system it is one"
            " of yours",
        ) from error
    history.note(paths, "autostart enable", command=host.who, unit=str(file))
    return Enabled(file, [*await _reload(system), *_lingering(system)])


async def disable(host: Host, paths: InstancePaths) -> list[Path]:
    """Remove the unit file, of this user or of the host, and its link.

    A VM that runs is left alone.

    :return: the unit files that were removed
    :raise StateError: there is none
    :raise OSError: it may not be removed
    """
    files = enabled(paths)
    if not files:
        raise StateError(f"'{paths.name}' is not started automatically")
    for system, file in files.items():
        _link(paths, system=system).unlink(missing_ok=True)
        file.unlink()
        await _reload(system)
    if paths.directory.exists():
        history.note(paths, "autostart disable", command=host.who)
    return list(files.values())


def enabled(paths: InstancePaths) -> dict[bool, Path]:
    """The unit files of an instance: False is the user's, True the host's."""
    files = {system: file_of(paths, system=system) for system in (False, True)}
    return {
        system: file for system, file in files.items() if _is_of(file, paths)
    }


def _program() -> Path:
    typed = Path(sys.argv[0])
    if typed.name == "qemu" and typed.is_file():
        return typed.absolute()
    found = shutil.which("qemu")
    if found is None:
        raise NotFoundError(
            "the program 'qemu' is not on PATH",
            hint="a unit names it; put its directory on PATH",
        )
    return Path(found).absolute()


def _link(paths: InstancePaths, *, system: bool) -> Path:
    file = file_of(paths, system=system)
    return file.parent / f"{target(system=system)}.wants" / file.name


def _is_of(file: Path, paths: InstancePaths) -> bool:
    """Whether it is ours, and of this instance: not of another home's."""
    mine = f"PIDFile={paths.pid_file}".replace("%", "%%")
    try:
        return mine in file.read_text().splitlines()
    except OSError:
        return False


async def _reload(system: bool) -> list[str]:
    """Have systemd read its units again; say so where it can't."""
    if system:
        private, scope, when = "/run/systemd/private", "--system", "boot"
    else:
        runtime = os.environ.get("XDG_RUNTIME_DIR", "")
        private, scope = f"{runtime}/systemd/private", "--user"
        when = "login"
    if not Path(private).exists():
        return [f"systemd does not run here: the next {when} is the first"]
    try:
        await run_tool(("systemctl", scope, "daemon-reload"))
    except ToolError as error:
        return [f"systemd does not know of it before the next {when}: {error}"]
    return []


def _lingering(system: bool) -> list[str]:
    user = getpass.getuser()
    if system or (_LINGER / user).exists():
        return []
    return [
        "it starts when you log in, and is shut down when you log out; "
        f"'loginctl enable-linger {user}' makes that the host's boot and end"
    ]
