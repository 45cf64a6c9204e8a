"""What ``list`` shows of a VM's machine, got as cheaply as possible.

Of a running VM it is what its command line says, which is the truth even
when the definition has been edited since.  Of a stopped one it is what
the definition says; that is kept in a cache, because parsing a hundred
TOML files takes longer than all the rest of ``qemu list``.
"""

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from qemu_cli.instance.model import Definition

# Not compiled here: most lists have no forward, and re remembers it.
_FORWARD = r"hostfwd=(tcp|udp)?:([^:]*):(\d+)-([^:]*):(\d+)"
_OPTIONS = frozenset(
    {
        *("machine", "M", "accel", "enable-kvm", "smp", "m"),
        *("netdev", "nic", "net"),
    }
)
_TOPOLOGY = ("sockets", "dies", "clusters", "cores", "threads")
_MIB = {"": 1, "M": 1, "G": 1024, "T": 1 << 20, "K": 1 / 1024, "B": 1 / 2**20}


class Forward(NamedTuple):
    """A port of the host that leads to a port of the guest."""

    host_address: str
    host_port: int
    guest_port: int
    protocol: str

    def __str__(self) -> str:
        """For people: TCP needs no word."""
        udp = "/udp" if self.protocol == "udp" else ""
        return f"{self.host_port}→{self.guest_port}{udp}"


class Facts(NamedTuple):
    """The machine in a line; None: it does not say."""

    arch: str | None = None
    machine: str | None = None
    accel: str | None = None
    cpus: int | None = None
    memory_mib: int | None = None
    forwards: tuple[Forward, ...] = ()


def from_argv(argv: Sequence[str]) -> Facts:
    """Read the command line of a running QEMU (qemu-system(1))."""
    name = argv[0] if argv else ""
    _, found, arch = name.rpartition("qemu-system-")
    machine = accel = memory = None
    cpus = 1
    forwards: list[Forward] = []
    for option, value in _options(argv):
        if option in ("machine", "M"):
            keys = _keys(value, "type")
            machine = keys.get("type", machine)
            accel = keys.get("accel", accel)
        elif option == "accel":
            accel = _keys(value, "accel").get("accel", accel)
        elif option == "enable-kvm":
            accel = "kvm"
        elif option == "smp":
            cpus = _cpus(value)
        elif option == "m":
            memory = _memory_mib(value)
        elif option in ("netdev", "nic", "net"):
            forwards += [
                Forward(host or "0.0.0.0", int(port), int(to), kind or "tcp")  # noqa: S104 what QEMU does
                for kind, host, port, _, to in re.findall(_FORWARD, value)
            ]
    return Facts(
        arch if found else None, machine, accel, cpus, memory, tuple(forwards)
    )


def from_definition(definition: "Definition") -> Facts:
    """Read what the next start will make."""
    machine = definition.machine
    return Facts(
        definition.arch,
        machine.type,
        machine.accel,
        definition.cpu_count,
        definition.memory_mib,
        tuple(
            Forward(f.host_address, f.host_port, f.guest_port, f.protocol)
            for f in definition.forwards
        ),
    )


def _options(argv: Sequence[str]) -> Iterator[tuple[str, str]]:
    for word, following in zip(argv, (*argv[1:], ""), strict=False):
        if word[:1] == "-" and (option := word.lstrip("-")) in _OPTIONS:
            yield option, following


def _keys(value: str, first: str) -> dict[str, str]:
    """Split ``a,b=c``; the first word may do without its key."""
    keys = {}
    for number, word in enumerate(value.split(",")):
        key, equals, text = word.partition("=")
        if equals or not number:
            keys[key if equals else first] = text if equals else word
    return keys


def _cpus(value: str) -> int:
    keys = _keys(value, "cpus")
    counts = {k: int(v) for k, v in keys.items() if v.isdecimal()}
    product = 1
    for level in _TOPOLOGY:
        product *= counts.get(level, 1)
    return counts.get("cpus") or counts.get("maxcpus") or product


def _memory_mib(value: str) -> int | None:
    size = _keys(value, "size").get("size", "")
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([BKMGT]?)", size, re.I)
    return int(float(match[1]) * _MIB[match[2].upper()]) if match else None


class Cache:
    """The facts of definitions, by directory and the file's identity.

    A cache that can't be read or written costs time, nothing else.

    :param path: the file that it is kept in
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = False
        self._entries: dict[str, list[Any]] = {}
        try:
            loaded = json.loads(path.read_bytes())
            self._entries = loaded if isinstance(loaded, dict) else {}
        except (OSError, ValueError):
            pass

    def facts(self, definition: Path) -> Facts:
        """Return what a definition says.

        :raise DefinitionError: it can't be understood
        """
        try:
            status = definition.stat()
        except OSError:
            return self._parse(definition)
        key = [status.st_mtime_ns, status.st_size, status.st_ino]
        try:
            was, values = self._entries[str(definition)]
            if was == key:
                found = Facts._make(values)
                ports = tuple(Forward(*one) for one in found.forwards)
                return found._replace(forwards=ports)
        except (KeyError, TypeError, ValueError):
            pass  # it is new, or another version of us wrote it
        facts = self._parse(definition)
        self._entries[str(definition)] = [key, facts]
        self._changed = True
        return facts

    def save(self, known: Mapping[str, object]) -> None:
        """Write it back if something is new.

        :param known: the definitions that exist, others are forgotten
        """
        if not self._changed:
            return
        kept = {k: v for k, v in self._entries.items() if k in known}
        temporary = self._path.with_suffix(f".{os.getpid()}")
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                temporary.write_text(json.dumps(kept))
                temporary.replace(self._path)
            except OSError:
                temporary.unlink(missing_ok=True)

    @staticmethod
    def _parse(path: Path) -> Facts:
        # Imported here: it takes longer than all the rest of `list`.
        from qemu_cli.instance import definitions

        return from_definition(definitions.load(path))
