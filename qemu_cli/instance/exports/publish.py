"""Serving exports to others, through a daemon of its own.

A VM's QEMU, and whoever stands in for it, serves a private unix socket
only.  What listens on the network is a qemu-storage-daemon that is a
client of that socket: it has the keys, counts the clients, and can be
ended without the VM's noticing.
"""

import msgspec

from qemu_cli.instance.exports.listen import Listener
from qemu_cli.instance.exports.model import Export
from qemu_cli.instance.exports.plan import Planned
from qemu_cli.paths import InstancePaths
from qemu_cli.steps import AnyStep, MakeDirectory, Remove, Tool
from qemu_cli.steps.daemon import Daemon, EndDaemon, Withdraw
from qemu_cli.storage import storage_daemon
from qemu_cli.storage.storage_daemon import Served, Tls


def publish(
    paths: InstancePaths,
    program: str,
    id: str,
    listener: Listener,
    planned: Planned,
) -> Planned:
    """Have a daemon listen for what is served privately.  Pure.

    :param program: qemu-storage-daemon
    :param id: names the files of the one that listens
    """
    before: list[AnyStep] = []
    tls = Tls("x509", listener.x509) if listener.x509 else None
    if listener.psk:
        # QEMU wants a directory with a file of this name.
        keys = paths.daemon_keys(id)
        link = str(keys / "keys.psk")
        before = [
            MakeDirectory(str(keys)),
            Tool(("ln", "-sfT", listener.psk, link), creates=link),
        ]
        tls = Tls("psk", str(keys))
    pid_file = paths.daemon_pid_file(id)
    monitor = paths.daemon_monitor(id)
    argv = storage_daemon.argv(
        program,
        [_served(paths, export) for export in planned.exports],
        storage_daemon.inet_server(listener.host, listener.port),
        pid_file=pid_file,
        monitor=monitor,
        tls=tls,
        max_connections=listener.max_connections,
    )
    listens = Daemon(argv, str(pid_file), (str(monitor),))
    return planned._replace(
        steps=(*planned.steps, *before, listens),
        exports=tuple(
            msgspec.structs.replace(
                export, uri=listener.uri(export.name), listener=id
            )
            for export in planned.exports
        ),
    )


def _served(paths: InstancePaths, export: Export) -> Served:
    socket = paths.nbd_socket
    if export.server == "daemon":
        socket = paths.daemon_socket(export.id)
    node = storage_daemon.client_node(
        socket, export.name, writable=export.writable
    )
    return Served(export.id, export.name, node, export.writable)


def withdraw(
    paths: InstancePaths, export: Export, *, last: bool, hard: bool
) -> tuple[AnyStep, ...]:
    """The steps that serve an export to others no more.  Pure.

    They come before those that take the export down: the daemon that
    listens is a client of it.

    :param last: it serves no other, and ends
    :param hard: cut off clients
    """
    if export.listener is None:
        return ()
    pid_file = str(paths.daemon_pid_file(export.listener))
    monitor = str(paths.daemon_monitor(export.listener))
    first = Withdraw(pid_file, monitor, export.id, hard)
    if not last:
        return (first,)
    keys = str(paths.daemon_keys(export.listener))
    return (first, EndDaemon(pid_file, (monitor,)), Remove(keys))
