"""What is asked for, and what is served.

What is served is known to who serves it: QEMU (``query-block-exports``)
or a qemu-storage-daemon.  Neither knows why, nor what has to go with it;
that is in a record of ours, which counts only as long as they agree.
"""

from pathlib import Path
from typing import Literal
from urllib.parse import quote

import msgspec

#: ``pit``: what the disk held when the export was made; ``live``: what it
#: holds now; ``backing``: a layer below; ``snapshot``: an internal or
#: external one; ``writable``: the disk itself, of a stopped VM;
#: ``scratch``: writes go to a file that is thrown away.
Kind = Literal["pit", "live", "backing", "snapshot", "writable", "scratch"]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a command line asks for.

    :param disks: ids; none: all disks
    :param name: of the export; None: as the disk
    :param kind: see :data:`Kind`; a stopped VM's disk does not move, so
        there ``pit`` is the disk as it is
    :param depth: for ``backing``: how many layers below the active one
    :param snapshot: for ``snapshot``: which
    :param bitmap: a dirty bitmap that clients can ask for
    :param quiesce: freeze the guest's file systems for the moment
    :param scratch_bytes: the most that one scratch file may take; None:
        what is free
    :param listen: ``HOST:PORT`` to serve others on; port 0: any free one
    :param tls_psk: file of the keys (psktool(1)) that clients must have
    :param tls_x509: directory of certificates
    :param max_connections: with ``listen``, how many clients at a time
    """

    disks: tuple[str, ...] = ()
    name: str | None = None
    kind: Kind = "pit"
    depth: int = 1
    snapshot: str | None = None
    bitmap: str | None = None
    quiesce: bool = False
    scratch_bytes: int | None = None
    listen: str | None = None
    tls_psk: str | None = None
    tls_x509: str | None = None
    max_connections: int | None = None


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is served: a record.

    :param id: who serves it knows it by this; unique in the VM
    :param name: clients ask for it by this; unique in the VM
    :param uri: where clients find it
    :param created: as in ``2026-01-31T12:00:00+00:00``
    :param server: the VM's own QEMU, or a daemon of its own, which
        :meth:`InstancePaths.daemon_pid_file` finds
    :param node: the block node that is served, when QEMU does
    :param nodes: those that were made for it above the filter, in the
        order in which they must go
    :param filter: the node that was put between device and disk, and that
        must be taken out before it goes
    :param target: the filter's scratch node, which goes after it
    :param files: go with it
    :param snapshot: held against delete and revert as long as it is served
    :param listener: id of the daemon that serves it to other hosts, too
    """

    id: str
    vm: str
    disk: str
    name: str
    kind: Kind
    uri: str
    size_bytes: int
    created: str
    server: Literal["qemu", "daemon"] = "qemu"
    node: str | None = None
    nodes: tuple[str, ...] = ()
    filter: str | None = None
    target: str | None = None
    files: tuple[str, ...] = ()
    snapshot: str | None = None
    listener: str | None = None

    @property
    def writable(self) -> bool:
        """Whether clients may write."""
        return self.kind in ("writable", "scratch")


def unix_uri(socket: Path, name: str) -> str:
    """Say where an export on a unix socket is (NBD URI specification)."""
    return f"nbd+unix:///{quote(name, safe='')}?socket={quote(str(socket))}"
