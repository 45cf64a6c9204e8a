"""What a QEMU command line says of the VM's name and monitors.  Pure.

The grammar is that of QEMU 7.2 to 10 (qemu-system(1), system/vl.c,
chardev/char.c): ``-mon`` with ``-chardev`` in any order, the short forms
``-qmp``, ``-qmp-pretty`` and ``-monitor``, and the same in a file of
``-readconfig``.  qemu-storage-daemon(1) has ``--monitor``.

What else listens (``-gdb``, ``-incoming``, NBD, serial ports, VNC) is no
monitor, and so nobody connects to it.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

#: Options that no value follows, those included that later versions of
#: QEMU dropped.
FLAGS = frozenset({
    "S", "alt-grab", "async-teardown", "audio-help", "ctrl-grab",
    "curses", "daemonize", "enable-fips", "enable-kvm",
    "enable-sync-profile", "full-screen", "h", "help", "mem-prealloc",
    "no-acpi", "no-fd-bootchk", "no-frame", "no-hpet", "no-kvm",
    "no-kvm-irqchip", "no-kvm-pit", "no-quit", "no-reboot", "no-shutdown",
    "no-user-config", "nodefaults", "nographic", "old-param",
    "one-insn-per-tb", "only-migratable", "portrait", "preconfig", "s",
    "sdl", "semihosting", "show-cursor", "singlestep", "snapshot", "usb",
    "version", "win2k-hack", "xen-attach", "xen-domid-restrict",
})  # fmt: skip

#: Chardev backends that have no address.
_PLAIN_DEVICES = frozenset(
    {"null", "pty", "msmouse", "braille", "testdev", "stdio", "wctablet"}
)
_TRUE = frozenset({"on", "yes", "true", "y"})


class Monitor(NamedTuple):
    """A monitor, as the command line has it.

    :param kind: ``qmp`` or ``hmp``
    :param way: ``unix``, ``abstract``, ``tcp``, ``fd``, or what else the
        chardev is, such as ``stdio``
    :param address: a path, a name, ``host:port``, or a number
    :param server: QEMU listens; else it connects to somebody
    :param wrapped: what the bytes are wrapped in: ``telnet``,
        ``websocket``, ``tls``; ``pretty`` if each answer is over several
        lines; ``mux`` if others share the chardev
    """

    kind: str
    way: str
    address: str = ""
    server: bool = True
    wrapped: str = ""


class CommandLine(NamedTuple):
    """What :func:`parse` finds.

    :param unread: a file of ``-readconfig`` that could not be read
    """

    name: str = ""
    uuid: str = ""
    monitors: tuple[Monitor, ...] = ()
    daemonized: bool = False
    unread: str = ""


def parse(
    argv: Sequence[str],
    read_file: Callable[[str], str | None] = lambda path: None,
) -> CommandLine:
    """Read a command line.

    :param argv: with the program as its first word
    :param read_file: gets a path as it is written there, and returns the
        text, or None
    """
    chardevs: dict[str, dict[str, str]] = {}
    monitors: list[tuple[str, dict[str, str]]] = []
    name = uuid = unread = ""
    daemonized = False

    def take(option: str, keys: dict[str, str]) -> None:
        nonlocal name
        if option == "chardev":
            chardevs[keys.get("id", "")] = keys
        elif option in ("mon", "monitor"):
            is_qmp = option == "monitor" or keys.get("mode") == "control"
            monitors.append(("qmp" if is_qmp else "hmp", keys))
        elif option == "name":
            name = keys.get("guest", name)

    is_daemon = "storage-daemon" in argv[0].rpartition("/")[2] if argv else 0
    for option, value in options(argv):
        if option in ("qmp", "qmp-pretty") or (
            option == "monitor" and not is_daemon
        ):
            if value != "none":
                kind = "hmp" if option == "monitor" else "qmp"
                pretty = "on" if option == "qmp-pretty" else "off"
                keys = {**_device(value), "pretty": pretty}
                monitors.append((kind, keys))
        elif option == "serial" and value.startswith("mon:"):
            shared = {**_device(value.removeprefix("mon:")), "mux": "on"}
            monitors.append(("hmp", shared))
        elif option in _FIRST_KEY:
            take(option, _keys(value, _FIRST_KEY[option]))
        elif option == "uuid":
            uuid = value
        elif option == "daemonize":
            daemonized = True
        elif option == "readconfig":
            text = read_file(value)
            if text is None:
                unread = value
            for section, keys in sections(text or ""):
                take(section, keys)
    return CommandLine(
        name=name,
        uuid=uuid,
        monitors=tuple(
            _monitor(
                kind,
                chardevs.get(keys.get("chardev", ""), keys),
                pretty=keys.get("pretty") in _TRUE,
            )
            for kind, keys in monitors
        ),
        daemonized=daemonized,
        unread=unread,
    )


#: Options in QemuOpts syntax, and the key that the first word may omit.
_FIRST_KEY = {
    "chardev": "backend",
    "mon": "chardev",
    "monitor": "chardev",
    "name": "guest",
}


def options(argv: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Split into options and their values, as QEMU does.

    What follows no option is a disk: ``hda``.
    """
    words = iter(argv[1:])
    for word in words:
        if not word.startswith("-"):
            yield "hda", word
            continue
        option = word[2:] if word.startswith("--") else word[1:]
        option, equals, value = option.partition("=")
        if equals:  # qemu-storage-daemon: getopt_long(3)
            yield option, value
        elif option in FLAGS:
            yield option, ""
        else:
            yield option, next(words, "")


def _keys(value: str, first: str) -> dict[str, str]:
    """Split QemuOpts: ``a,b=c,d``; a doubled comma is one in a value."""
    keys: dict[str, str] = {}
    parts = value.replace(",,", "\0").split(",")
    for number, part in enumerate(parts):
        key, equals, text = part.replace("\0", ",").partition("=")
        if equals:
            keys[key] = text
        elif not number and first:
            keys[first] = key
        elif key.startswith("no"):
            keys[key[2:]] = "off"  # as in `nowait`
        else:
            keys[key] = "on"
    return keys


def _device(text: str) -> dict[str, str]:
    """Read the short form of a chardev: ``unix:/path,server=on``."""
    scheme, colon, rest = text.partition(":")
    if scheme == "chardev":
        return {"chardev": rest}
    if text in _PLAIN_DEVICES or scheme == "vc":
        return {"backend": scheme}
    if scheme == "unix":
        # Only here the first word can have an equals sign in it.
        path, comma, options = _cut(rest)
        keys = _keys(options, "") if comma else {}
        return {**keys, "backend": "socket", "path": path}
    if scheme in ("tcp", "telnet", "tn3270", "websocket"):
        address, comma, options = rest.partition(",")
        host, colon, port = address.rpartition(":")
        keys = _keys(options, "") if comma else {}
        if scheme != "tcp":
            keys[scheme] = "on"
        return {**keys, "backend": "socket", "host": host, "port": port}
    return {"backend": scheme if colon else "device"}


def _cut(text: str) -> tuple[str, str, str]:
    """Cut at the first comma that is not doubled."""
    head, comma, tail = text.replace(",,", "\0").partition(",")
    return head.replace("\0", ","), comma, tail.replace("\0", ",,")


def sections(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Read a file of ``-readconfig`` (util/qemu-config.c)."""
    section, keys = "", dict[str, str]()
    for line in text.splitlines():
        if head := re.match(r'\s*\[(\S+?)(?:\s+"(.*?)")?\]', line):
            yield section, keys
            section, keys = head[1], {}
            if head[2] is not None:
                keys["id"] = head[2]
        elif pair := re.match(r'\s*(\S+)\s*=\s*"(.*)"', line):
            keys[pair[1]] = pair[2]
    yield section, keys


def _monitor(kind: str, keys: dict[str, str], *, pretty: bool) -> Monitor:
    backend = keys.get("backend", "unknown")
    if backend != "socket":
        return Monitor(kind, backend)
    server = keys.get("server") in _TRUE
    wrapped = next(
        (
            word
            for word in ("telnet", "tn3270", "websocket", "mux")
            if keys.get(word) in _TRUE
        ),
        "tls" if "tls-creds" in keys else "pretty" if pretty else "",
    )
    if "fd" in keys:
        return Monitor(kind, "fd", keys["fd"], server, wrapped)
    if "path" in keys:
        is_abstract = keys.get("abstract") in _TRUE
        path = keys["path"]
        if is_abstract:
            return Monitor(kind, "abstract", f"@{path}", server, wrapped)
        return Monitor(kind, "unix", path, server, wrapped)
    host = keys.get("host", "")
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return Monitor(kind, "tcp", f"{host}:{keys.get('port')}", server, wrapped)
