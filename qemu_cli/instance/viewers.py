"""Programs that show a VM's screen in a window."""

import os
import shutil
from typing import NamedTuple, NoReturn

from qemu_cli.errors import NotFoundError, StateError
from qemu_cli.instance.discovery.files import full_name, outside
from qemu_cli.instance.discovery.screens import screen
from qemu_cli.instance.vm import VM

#: What can show VNC on a unix socket, the best first.
_VNC = (
    ("vncviewer", "{path}"),  # TigerVNC
    ("gvncviewer", "{path}"),
    ("vinagre", "{path}"),
)

#: What can show SPICE.
_SPICE = (("remote-viewer", "{uri}"), ("spicy", "--uri={uri}"))


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
    if not vm.alive:
        raise StateError(f"'{vm.name}' does not run: it is {vm.state}")
    if vm.foreign:
        return _of_stranger(vm)
    path = vm.paths.vnc_socket
    if not path.is_socket():
        raise StateError(
            f"'{vm.name}' has no screen that a viewer could show",
            hint=f"qemu set {vm.name} display=vnc, and start it again",
        )
    return _viewer(f"vnc+unix://{path}")


def _of_stranger(vm: VM) -> Viewer:
    uri = screen(vm.process.argv) if vm.process else None
    if uri is None:
        raise StateError(
            f"'{vm.name}' has no screen that a viewer could show",
            hint="'qemu screenshot' takes a picture of what is on it; QEMU "
            "needs '-vnc unix:PATH'",
        )
    way, _, where = uri.partition("+unix://")
    if where:
        path = outside(vm, full_name(vm, where))
        uri = f"{way}+unix://{path or where}"
    return _viewer(uri)


def _viewer(uri: str) -> Viewer:
    """Find a program that shows what is there."""
    way, _, where = uri.partition("://")
    if way == "vnc":  # these have two colons before a port
        where = "::".join(where.rsplit(":", 1))
    for program, words in _VNC if way.startswith("vnc") else _SPICE:
        if found := shutil.which(program):
            argument = words.format(path=where, uri=uri)
            return Viewer(uri, (found, argument))
    return Viewer(uri, None)


def show(viewer: Viewer) -> NoReturn:
    """Become the program that shows it.

    :raise NotFoundError: none is installed
    """
    if viewer.argv is None:
        is_vnc = viewer.uri.startswith("vnc")
        kind, programs = ("VNC", _VNC) if is_vnc else ("SPICE", _SPICE)
        names = ", ".join(program for program, _ in programs)
        package = "tigervnc-viewer" if is_vnc else "virt-viewer"
        raise NotFoundError(
            f"no {kind} viewer is installed: looked for {names}",
            hint=f"install {package}, or connect another one to {viewer.uri}",
        )
    os.execv(viewer.argv[0], viewer.argv)
