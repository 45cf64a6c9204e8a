"""Who may come: the address that is listened on, and the keys.

Without TLS that is this host alone.
"""

import errno
import ipaddress
import re
import socket
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from qemu_cli.errors import (
    NotFoundError,
    QemuCliError,
    StateError,
    UsageError,
)
from qemu_cli.instance.exports.model import Wanted

_CERTIFICATES = ("ca-cert.pem", "server-cert.pem", "server-key.pem")
_KEY = re.compile(r"([^:\s]+):([0-9a-fA-F]{2})+")
_PORT_MAX = 65535


class Listener(NamedTuple):
    """Where a daemon is to listen, and what it asks of its clients.

    :param psk: absolute path of the file of keys (psktool(1))
    :param user: the first that has a key in there
    :param x509: absolute path of the directory of certificates
    """

    host: str
    port: int
    psk: str | None = None
    user: str | None = None
    x509: str | None = None
    max_connections: int | None = None

    def uri(self, name: str) -> str:
        """Say where an export is (NBD URI specification)."""
        encrypted = self.psk or self.x509
        user = f"{quote(self.user, safe='')}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self.host in ("0.0.0.0", "::"):  # noqa: S104
            host = socket.gethostname()  # all addresses of this host
        uri = f"{'nbds' if encrypted else 'nbd'}://{user}{host}:{self.port}"
        uri = f"{uri}/{quote(name, safe='')}"
        return f"{uri}?tls-psk-file={quote(self.psk)}" if self.psk else uri


def wish(wanted: Wanted) -> Listener | None:
    """Look at what is asked for, and pick the port.

    :return: None when nobody is to listen
    :raise UsageError: it makes no sense, or would tell everybody
    :raise NotFoundError: a file of keys is missing
    :raise StateError: the port is taken
    """
    if wanted.listen is None:
        for given, option in (
            (wanted.tls_psk, "--tls-psk"),
            (wanted.tls_x509, "--tls-x509"),
            (wanted.max_connections, "--max-connections"),
        ):
            if given is not None:
                raise UsageError(
                    f"{option} makes no sense without --listen: the VM's own"
                    " socket is for you alone",
                    hint="add --listen HOST:PORT",
                )
        return None
    if wanted.bitmap is not None:
        raise UsageError(
            "--bitmap and --listen can't be combined: the daemon that "
            "listens does not pass bitmaps on"
        )
    if wanted.tls_psk is not None and wanted.tls_x509 is not None:
        raise UsageError("either --tls-psk or --tls-x509, not both")
    host, port = address(wanted.listen)
    if not (wanted.tls_psk or wanted.tls_x509 or is_loopback(host)):
        raise UsageError(
            f"{host} can be reached from elsewhere: without TLS everybody "
            "could read the disks",
            hint="add --tls-psk FILE or --tls-x509 DIR, or listen on "
            "127.0.0.1",
        )
    psk, x509, user = wanted.tls_psk, wanted.tls_x509, None
    if psk is not None:
        user = first_user(Path(psk))
        psk = str(Path(psk).absolute())
    if x509 is not None:
        check_certificates(Path(x509))
        x509 = str(Path(x509).absolute())
    return Listener(
        host=host,
        port=free_port(host, port),
        psk=psk,
        user=user,
        x509=x509,
        max_connections=wanted.max_connections,
    )


def address(text: str) -> tuple[str, int]:
    """Read ``HOST:PORT``; without a host it is this host alone.

    :raise UsageError: it is something else
    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        colon = ""  # an IPv6 address without brackets, or nonsense
    if not colon or not port.isdecimal() or int(port) > _PORT_MAX:
        raise UsageError(
            f"'{text}' is no address to listen on",
            hint="give HOST:PORT, as in 127.0.0.1:10809 or [::1]:10809; "
            "port 0 picks a free one",
        )
    return host or "127.0.0.1", int(port)


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this host only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def free_port(host: str, port: int) -> int:
    """Pick a port that is free now, or see that the wanted one is.

    :param port: 0: any
    :raise UsageError: this host has no such address
    :raise StateError: the port can't be had
    """
    try:
        family, kind, _, _, where = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind) as attempt:
            # As QEMU does: a connection that has just ended is no reason.
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            attempt.bind(where)
            attempt.listen(1)
            chosen: int = attempt.getsockname()[1]
            return chosen
    except socket.gaierror as error:
        raise UsageError(
            f"there is no host '{host}': {error.strerror}"
        ) from error
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise UsageError(
                f"{host} is no address of this host",
                hint="'ip address' shows those that it has",
            ) from error
        raise StateError(
            f"can't listen on port {port} of {host}: {error.strerror}",
            hint="port 0 picks a free one",
        ) from error


def first_user(file: Path) -> str:
    """Read whose key comes first in a file of keys.

    :raise NotFoundError: there is no such file
    :raise UsageError: it is something else
    """
    try:
        lines = file.read_text().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(
            f"there is no file of keys {file}",
            hint=f"make one: psktool -u qemu -p {file}",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise QemuCliError(
            f"the file of keys {file} can't be read: {error}"
        ) from error
    for line in lines:
        if match := _KEY.fullmatch(line.strip()):
            return match[1]
    raise UsageError(
        f"{file} has no line 'USER:KEY', with the key in hexadecimal",
        hint="psktool makes such a file: psktool -u qemu -p FILE",
    )


def check_certificates(directory: Path) -> None:
    """See that a server's certificates are there.

    :raise NotFoundError: one is missing
    """
    for name in _CERTIFICATES:
        if not (directory / name).is_file():
            raise NotFoundError(
                f"{directory} has no {name}",
                hint=f"it needs {', '.join(_CERTIFICATES)}; certtool(1) of "
                "gnutls-bin makes them",
            )
