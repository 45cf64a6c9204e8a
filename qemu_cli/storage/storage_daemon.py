"""The command lines of the programs that serve images, all pure.

They put themselves in the background when they listen, and write their
pid file then: qemu-storage-daemon(1), qemu-nbd(8).  Whatever a user may
have called something goes in as JSON where the program takes that.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

_TLS_ID = "tls0"
_MONITOR_ID = "qmp0"


class Tls(NamedTuple):
    """What a server proves itself with, and asks of its clients.

    :param kind: ``psk``: a key that both know, in ``keys.psk``; ``x509``:
        certificates, ``ca-cert.pem``, ``server-cert.pem`` and
        ``server-key.pem``
    :param directory: where these files are
    """

    kind: Literal["psk", "x509"]
    directory: str


class Served(NamedTuple):
    """A node that a daemon makes and exports (QAPI BlockExportOptions).

    :param id: of the export, and of the node
    :param name: what clients ask for
    :param node: QAPI BlockdevOptions; its ``node-name`` is set here
    :param bitmap: a dirty bitmap that clients can ask for
    """

    id: str
    name: str
    node: dict[str, Any]
    writable: bool = False
    bitmap: str | None = None


def image_node(
    file: Path,
    image_format: str,
    *,
    writable: bool = False,
    limit_bytes: int | None = None,
) -> dict[str, Any]:
    """An image file as a block node (QAPI BlockdevOptions).

    :param limit_bytes: the size of the file, when it must not grow
    """
    device = file.is_block_device()
    common: dict[str, Any] = {"read-only": not writable}
    if writable:
        common["discard"] = "unmap"
    protocol: dict[str, Any] = {
        "driver": "host_device" if device else "file",
        "filename": str(file),
        **common,
    }
    if limit_bytes is not None:
        bounds = {"driver": "raw", "size": limit_bytes}
        protocol = {**bounds, **common, "file": protocol}
    return {"driver": image_format, **common, "file": protocol}


def client_node(
    socket: Path, name: str, *, writable: bool = False
) -> dict[str, Any]:
    """Another server's export as a block node (BlockdevOptionsNbd)."""
    return {
        "driver": "nbd",
        "read-only": not writable,
        "server": {"type": "unix", "path": str(socket)},
        "export": name,
    }


def unix_server(socket: Path) -> dict[str, Any]:
    """The address of a private server (QAPI SocketAddress)."""
    return {"type": "unix", "path": str(socket)}


def inet_server(host: str, port: int) -> dict[str, Any]:
    """The address of a server on the network (QAPI SocketAddress)."""
    return {"type": "inet", "host": host, "port": str(port)}


def argv(
    program: str,
    served: Sequence[Served],
    address: dict[str, Any],
    *,
    pid_file: Path,
    monitor: Path | None = None,
    tls: Tls | None = None,
    max_connections: int | None = None,
) -> tuple[str, ...]:
    """Serve images with qemu-storage-daemon.

    :param address: :func:`unix_server` or :func:`inet_server`
    :param monitor: the socket of its QMP monitor
    :param max_connections: further clients wait
    """
    words = [program]
    if tls:
        words += ["--object", _json(_credentials(tls))]
    for each in served:
        node = {**each.node, "node-name": each.id}
        words += ["--blockdev", _json(node)]
    if monitor:
        path = str(monitor).replace(",", ",,")
        chardev = f"socket,id={_MONITOR_ID},path={path},server=on,wait=off"
        words += ["--chardev", chardev, "--monitor", f"chardev={_MONITOR_ID}"]
    server: dict[str, Any] = {"addr": address}
    if tls:
        server["tls-creds"] = _TLS_ID
    if max_connections is not None:
        server["max-connections"] = max_connections
    words += ["--nbd-server", _json(server)]
    for each in served:
        export: dict[str, Any] = {
            "type": "nbd",
            "id": each.id,
            "node-name": each.id,
            "name": each.name,
            "writable": each.writable,
        }
        if each.bitmap is not None:
            export["bitmaps"] = [each.bitmap]
        words += ["--export", _json(export)]
    return (*words, "--pidfile", str(pid_file), "--daemonize")


def snapshot_argv(
    program: str,
    file: Path,
    snapshot: str,
    *,
    name: str,
    socket: Path,
    pid_file: Path,
) -> tuple[str, ...]:
    """Serve an internal snapshot of a qcow2 image with qemu-nbd.

    A VM may be writing to the image meanwhile: what a snapshot consists
    of is not written again while the snapshot is there.
    """
    return (
        *(program, "--read-only", "--persistent", "--shared=0"),
        *("--export-name", name, "--socket", str(socket)),
        *_image(file, "qcow2", snapshot),
        *("--pid-file", str(pid_file), "--fork"),
    )


def reader_argv(
    program: str,
    file: Path,
    image_format: str,
    snapshot: str | None,
    *,
    name: str,
    socket: Path,
    pid_file: Path,
) -> tuple[str, ...]:
    """Serve an image, or a snapshot in it, until its last client leaves.

    :param pid_file: written as soon as clients can come
    """
    return (
        *(program, "--read-only", "--shared=0", "--pid-file", str(pid_file)),
        *("--export-name", name, "--socket", str(socket)),
        *_image(file, image_format, snapshot),
    )


def _image(
    file: Path, image_format: str, snapshot: str | None
) -> tuple[str, ...]:
    """Name an image for qemu-nbd; somebody may be writing to it."""
    options = {
        "driver": image_format,
        "force-share": "on",
        "file.driver": "host_device" if file.is_block_device() else "file",
        "file.filename": os.fspath(file),
    }
    inside = {"snapshot.name": snapshot} if snapshot else {}
    return (
        *(("--load-snapshot", _options(inside)) if inside else ()),
        *("--image-opts", _options(options)),
    )


def _credentials(tls: Tls) -> dict[str, Any]:
    found: dict[str, Any] = {
        "qom-type": f"tls-creds-{tls.kind}",
        "id": _TLS_ID,
        "endpoint": "server",
        "dir": tls.directory,
    }
    if tls.kind == "x509":
        found["verify-peer"] = True
    return found


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))


def _options(values: dict[str, str]) -> str:
    """Spell QEMU's ``key=value,…``; a comma in a value is doubled."""
    return ",".join(
        f"{key}={value.replace(',', ',,')}" for key, value in values.items()
    )
