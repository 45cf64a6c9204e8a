"""Serving exports to others, through a daemon of its own.

A VM's QEMU, and whoever stands in for it, serves a private unix socket
only.  What listens on the network is a qemu-storage-daemon that is a
client of that socket: it has the keys, counts the clients, and can be
ended without the VM's noticing.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from qemu_cli.instance.exports.listen import Listener
from qemu_cli.instance.exports.model import Export
from qemu_cli.paths import InstancePaths
from qemu_cli.steps import AnyStep, MakeDirectory, Remove, Tool
from qemu_cli.steps.daemon import Daemon, EndDaemon, Withdraw
from qemu_cli.storage import storage_daemon
from qemu_cli.storage.storage_daemon import Served, Tls


def published(
    listener: Listener, exports: Sequence[Export]
) -> tuple[Export, ...]:
    """The exports as they are found through the one that listens."""
    return tuple(
        msgspec.structs.replace(
            export, uri=listener.uri(export.name), listener=listener.id
        )
        for export in exports
    )


def steps(
    paths: InstancePaths,
    program: str,
    listener: Listener,
    sources: Sequence[tuple[Export, Path]],
) -> tuple[AnyStep, ...]:
    """The steps that make it listen; they come after those that serve.

    Pure.

    :param program: qemu-storage-daemon
    :param sources: each export, and the private socket that has it
    """
    before: list[AnyStep] = []
    tls = Tls("x509", listener.x509) if listener.x509 else None
    if listener.psk:
        # QEMU wants a directory with a file of this name.
        keys = paths.daemon_keys(listener.id)
        link = str(keys / "keys.psk")
        before = [
            MakeDirectory(str(keys)),
            Tool(("ln", "-sfT", listener.psk, link), creates=link),
        ]
        tls = Tls("psk", str(keys))
    served = [
        Served(
            id=export.id,
            name=export.name,
            node=storage_daemon.client_node(
                source, export.name, writable=export.writable
            ),
            writable=export.writable,
        )
        for export, source in sources
    ]
    pid_file = paths.daemon_pid_file(listener.id)
    monitor = paths.daemon_monitor(listener.id)
    argv = storage_daemon.argv(
        program,
        served,
        storage_daemon.inet_server(listener.host, listener.port),
        pid_file=pid_file,
        monitor=monitor,
        tls=tls,
        max_connections=listener.max_connections,
    )
    return (*before, Daemon(argv, str(pid_file), (str(monitor),)))


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
