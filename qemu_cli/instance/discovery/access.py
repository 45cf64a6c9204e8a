"""Which monitor of a process can be asked, found out without connecting.

A connect is not harmless: a monitor that serves somebody keeps us waiting
in its queue, and what is no monitor may do anything.  So a socket is only
named here if the command line calls it a QMP monitor, the process itself
listens on it, and nobody is served.
"""

import os
import stat
from typing import NamedTuple

from qemu_cli.instance.discovery.argv import CommandLine, Monitor
from qemu_cli.proc.sockets import (
    CONNECTED,
    TCP_CONNECTED,
    TCP_LISTENING,
    WAITING,
    UnixSocket,
)
from qemu_cli.proc.view import View

#: The longest path that bind(2) and connect(2) take (sun_path, unix(7)).
_PATH_MAX = 107


class Access(NamedTuple):
    """What is known of the monitors of a process.

    :param word: ``free``, ``held``, ``hmp`` (there is no QMP), ``none`` or
        ``unreachable``
    :param reason: why it can't be asked, or ``""``
    :param address: of the QMP monitor, as :mod:`qemu_cli.qmp.address` has
        it; None when there is none that we could connect to
    :param bound: the same as the process has it, for the socket tables
    :param client: the inode of the socket of the client that is served
    :param human: it is the human monitor (HMP), for there is no other
    """

    word: str
    reason: str = ""
    address: str | None = None
    bound: str | None = None
    client: int | None = None
    human: bool = False


#: The best first.
_ORDER = ("free", "held", "unreachable")


def access(view: View, line: CommandLine) -> Access:
    """Look at all monitors, and tell about the best one."""
    found = [
        _look(view, line, monitor)
        for monitor in line.monitors
        if monitor.kind == "qmp"
    ]
    if found:
        return min(found, key=_rank)
    if line.unread:
        return Access("unreachable", f"{line.unread} can't be read")
    human = [each for each in line.monitors if each.kind == "hmp"]
    listening = [
        _human(_look(view, line, monitor), monitor)
        for monitor in human
        if monitor.way in ("unix", "abstract", "tcp", "fd") and monitor.server
    ]
    if listening:
        return min(listening, key=lambda one: (one.word, not one.address))
    if human:
        return Access("none", f"its only monitor is on its {human[0].way}")
    return Access("none", "it was started without one")


def _human(found: Access, monitor: Monitor) -> Access:
    """What is known of a human monitor, which can do less."""
    where = f"HMP at {monitor.address}"
    if found.word == "held":
        return found._replace(reason=where, human=True)
    if found.word == "free":
        return found._replace(word="hmp", reason=where, human=True)
    why = f"{where}: {found.reason}"
    return Access("hmp", why, human=True)


def _rank(one: Access) -> tuple[int, bool]:
    """The best first; of another user's instance, what `list` is for."""
    is_probe = (one.address or "").endswith("/probe.sock")
    return _ORDER.index(one.word), not is_probe


def _look(view: View, line: CommandLine, monitor: Monitor) -> Access:
    if monitor.wrapped == "mux":
        return Access("unreachable", "it shares its monitor with a port")
    if monitor.wrapped == "pretty":
        return Access("unreachable", "its monitor is for people (pretty)")
    if monitor.wrapped:
        return Access("unreachable", f"its monitor talks {monitor.wrapped}")
    if monitor.way == "fd":
        return _fd(view, line, monitor)
    if monitor.way not in ("unix", "abstract", "tcp"):
        return Access("unreachable", f"its monitor is on its {monitor.way}")
    if not monitor.server:
        return Access("held", f"it connects to {monitor.address} itself")
    if monitor.way == "tcp":
        return _tcp(view, monitor)
    for one in view.unix_at(monitor.address):
        if one.listening and (view.own is None or one.inode in view.own):
            return _unix(view, line, one)
    return Access("unreachable", f"it does not listen at {monitor.address}")


def _fd(view: View, line: CommandLine, monitor: Monitor) -> Access:
    if view.sockets is None:
        return Access("unreachable", "its files may not be looked at")
    if not monitor.address.isdecimal():
        return Access("unreachable", "its monitor came by another monitor")
    inode = view.sockets.get(int(monitor.address))
    listener = view.unix(inode) if inode else None
    if listener and listener.listening:
        return _unix(view, line, listener)
    return Access(
        "held",
        "it was started with a connection",
        client=_peer(inode) if inode else None,
    )


def _unix(view: View, line: CommandLine, listener: UnixSocket) -> Access:
    path = listener.path
    address = _reach(view, line, listener)
    found = Access("free", "", address, path)
    clients = [one for one in view.unix_at(path) if not one.listening]
    for one in clients:
        mine = view.own is None or one.inode in view.own
        if one.state == CONNECTED and mine:
            return found._replace(word="held", client=_peer(one.inode))
    # Whose the clients of a relative path are, nobody can tell.
    if path[0] in "/@" and any(one.state == WAITING for one in clients):
        return found._replace(word="held", reason="somebody waits at it")
    if address is None:
        return Access("unreachable", _why_not(view, path))
    return found


def _reach(view: View, line: CommandLine, listener: UnixSocket) -> str | None:
    """Return an address that leads to the listener, or None."""
    path = listener.path
    if path.startswith("@"):
        return path if view.shares_network else None
    address = view.path(path)
    if line.daemonized and not path.startswith("/"):
        # -daemonize went to the directory / after the socket was bound.
        directory = view.first_directory()
        if directory is None:
            return None
        address = view.path(f"{directory}/{path}")
    if len(os.fsencode(address)) > _PATH_MAX:
        return None
    try:
        status = os.stat(address)  # noqa: PTH116
    except OSError:
        return None
    if not stat.S_ISSOCK(status.st_mode):
        return None
    # Somebody may have put another program's socket in its place.
    if view.shares_network and not _is_bound_to(listener, status.st_ino):
        return None
    if view.own is None and status.st_uid != view.user_id():
        return None  # perhaps another program's
    return address if os.access(address, os.W_OK) else None


def _peer(inode: int) -> int | None:
    from qemu_cli.proc.sock_diag import peer_inode

    return peer_inode(inode)


def _is_bound_to(listener: UnixSocket, file: int) -> bool:
    from qemu_cli.proc.sock_diag import file_inode

    # The kernel tells 32 bits of it.
    return file_inode(listener.inode) == file & 0xFFFFFFFF


def _why_not(view: View, path: str) -> str:
    if path.startswith("@"):
        return f"{path} is in another network namespace"
    if view.own is None:
        return f"{path}: no permission"
    if view.shares_files is False:
        return f"{path} is in another mount namespace"
    return f"{path} is not there, is too long, or is not ours to use"


def _tcp(view: View, monitor: Monitor) -> Access:
    if view.shares_network is False:
        return Access(
            "unreachable",
            f"{monitor.address} is in another network namespace",
        )
    own = view.own or frozenset()
    port = f":{monitor.address.rpartition(':')[2]}"
    here = [one for one in view.tcp() if one.local.endswith(port)]
    for listener in here:
        if listener.state == TCP_LISTENING and listener.inode in own:
            break
    else:
        return Access(
            "unreachable", f"it does not listen at {monitor.address}"
        )
    address = _dialled(listener.local)
    for one in here:
        if one.state == TCP_CONNECTED and (not one.inode or one.inode in own):
            ends = (one.remote, one.local)
            client = [
                other.inode
                for other in view.tcp()
                if (other.local, other.remote) == ends
            ]
            peer = next(iter(client), None)
            return Access("held", "", address, address, peer)
    return Access("free", "", address, address)


#: What means all addresses to a server means none to a client.
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104


def _dialled(local: str) -> str:
    """Turn the address that it listens at into one to connect to."""
    host, _, port = local.rpartition(":")
    return f"{_LOOPBACK.get(host, host)}:{port}"
