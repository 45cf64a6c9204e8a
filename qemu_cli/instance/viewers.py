"""Programs that show a VM's screen in a window."""

import os
import shutil
from typing import NamedTuple, NoReturn

from qemu_cli.errors import NotFoundError, StateError
from qemu_cli.instance.vm import VM

#: What can show VNC on a unix socket, the best first.
_VNC = (
    ("vncviewer", "{path}"),  # TigerVNC
    ("gvncviewer", "{path}"),
    ("vinagre", "{path}"),
)


class Viewer(NamedTuple):
    """How a screen can be seen.

    :param uri: where it is
    :param argv: what shows it; None: nothing that is installed
    """

    uri: str
    argv: tuple[str, ...] | None


def of_vm(vm: VM) -> Viewer:
    """Find where a VM's screen is, and a program that shows it.

    :raise StateError: it does not run, or has no screen on a socket
    """
    path = vm.paths.vnc_socket
    if not vm.alive:
        raise StateError(f"'{vm.name}' does not run: it is {vm.state}")
    if not path.is_socket():
        raise StateError(
            f"'{vm.name}' has no screen that a viewer could show",
            hint=f"qemu set {vm.name} display=vnc, and start it again",
        )
    for program, words in _VNC:
        if found := shutil.which(program):
            return Viewer(
                f"vnc+unix://{path}", (found, words.format(path=path))
            )
    return Viewer(f"vnc+unix://{path}", None)


def show(viewer: Viewer) -> NoReturn:
    """Become the program that shows it.

    :raise NotFoundError: none is installed
    """
    if viewer.argv is None:
        names = ", ".join(program for program, _ in _VNC)
        raise NotFoundError(
            f"no VNC viewer is installed: looked for {names}",
            hint="install tigervnc-viewer, or connect another one to "
            f"{viewer.uri}",
        )
    os.execv(viewer.argv[0], viewer.argv)
