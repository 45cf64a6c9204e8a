"""Where the screen of a VM that somebody else started can be seen. Pure.

(qemu-system(1): ``-vnc``, ``-display vnc=``, ``-spice``)
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from urllib.parse import quote

#: The TCP port of the display :0 (RFC 6143, 7.1).
_VNC_PORT = 5900


def screen(argv: Sequence[str]) -> str | None:
    """Return the URI of a screen that its QEMU serves.

    :param argv: with the program as its first word
    :return: ``vnc+unix:///PATH``, ``vnc://HOST:PORT``, ``spice://…`` or
        None: there is none
    """
    for option, value in pairwise(argv):
        option = option.replace("--", "-", 1)
        if option == "-display" and value.startswith("vnc="):
            option, value = "-vnc", value.removeprefix("vnc=")
        if option == "-vnc" and (found := _vnc(value.partition(",")[0])):
            return found
        if option == "-spice" and (found := _spice(value)):
            return found
    return None


def _vnc(where: str) -> str | None:
    if where.startswith("unix:"):
        return f"vnc+unix://{where.removeprefix('unix:')}"
    if found := re.fullmatch(r"(.*):(\d+)", where):
        port = _VNC_PORT + int(found[2])
        return f"vnc://{_host(found[1])}:{port}"
    return None


def _spice(value: str) -> str | None:
    keys = dict(word.partition("=")[::2] for word in value.split(","))
    if "unix" in keys and "addr" in keys and keys["unix"] in ("", "on"):
        return f"spice+unix://{quote(keys['addr'])}"
    if "port" in keys:
        return f"spice://{_host(keys.get('addr', ''))}:{keys['port']}"
    return None


def _host(host: str) -> str:
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return "localhost" if host in ("", "0.0.0.0", "[::]") else host  # noqa: S104
