"""What ``list`` shows of a VM's machine, got as cheaply as possible.

Of a running VM it is what its command line says, which is the truth even
when the definition has been edited since.  Of a stopped one it is what
the definition says; that is kept in a cache, because parsing a hundred
TOML files takes longer than all the rest of ``qemu list``.
"""

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
_MIB = {"": 1, "M": 1, "G": 1024, "T": 1 << 20, "K": 1 / 1024, "B": 1 / 2**20}


class Forward(NamedTuple):
    """A port of the host that leads to a port of the guest."""

    host_address: str
    host_port: int
    guest_port: int
    protocol: str


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
    arch = re.sub(r"^.*qemu-system-", "", argv[0]) if argv else None
    machine = accel = memory = None
    cpus = 1
    forwards: list[Forward] = []
    for option, value in _options(argv):
        if option in ("machine", "M"):
            first, *rest = value.split(",")
            machine = first.removeprefix("type=")
            for word in rest:
                if word.startswith("accel="):
                    accel = word[6:]
        elif option == "accel":
            accel = value.split(",")[0].removeprefix("accel=")
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
    return Facts(arch, machine, accel, cpus, memory, tuple(forwards))


def from_definition(definition: "Definition") -> Facts:
    """Read what the next start will make."""
    machine = definition.machine
    return Facts(
        definition.arch,
        machine.type,
        machine.accel,
        machine.cpus,
        machine.memory_mib,
        tuple(
            Forward(f.host_address, f.host_port, f.guest_port, f.protocol)
            for f in definition.forwards
        ),
    )


def _options(argv: Sequence[str]) -> Iterator[tuple[str, str]]:
    for index, word in enumerate(argv):
        if word.startswith("-"):
            following = argv[index + 1] if index + 1 < len(argv) else ""
            yield word.lstrip("-"), following


def _cpus(value: str) -> int:
    for word in value.split(","):
        digits = word.removeprefix("cpus=")
        if digits.isdecimal():
            return int(digits)
    return 1


def _memory_mib(value: str) -> int | None:
    match = re.match(r"(?:size=)?(\d+)([BKMGT]?)", value, re.I)
    return int(int(match[1]) * _MIB[match[2].upper()]) if match else None


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
        entry = self._entries.get(str(definition))
        if entry and entry[0] == key:
            facts = Facts(*entry[1])
            forwards = tuple(Forward(*one) for one in facts.forwards)
            return facts._replace(forwards=forwards)
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
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary.write_text(json.dumps(kept))
            temporary.replace(self._path)
        except OSError:
            temporary.unlink(missing_ok=True)

    @staticmethod
    def _parse(path: Path) -> Facts:
        # Imported here: it takes longer than all the rest of `list`.
        from qemu_cli.instance import model

        return from_definition(model.load(path))
