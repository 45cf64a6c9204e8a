"""qemu show."""

import argparse
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qemu_cli.columns import Duration, Named, Size, State, plain
from qemu_cli.command import ShowOne
from qemu_cli.command.times import ago
from qemu_cli.units import format_size

if TYPE_CHECKING:
    from qemu_cli.instance.details import Details, DiskDetails, SocketUse
    from qemu_cli.instance.facts import Forward
    from qemu_cli.instance.vm import VM

_MIB = 1 << 20


class Show(ShowOne):
    """Show everything that is known about one VM.

    Of a running VM, the machine is the one that runs; 'next start' says
    what has been changed since.  A part that can't be found out is left
    out of the table, and 'problems' says why.
    """

    examples = (
        "qemu show web",
        "qemu show web --columns state,disks",
        "qemu show web -f json",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "name",
            metavar="NAME",
            help="a VM, or pid:N, qmp:ADDRESS, ORIGIN:NAME",
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        from qemu_cli.command import loop
        from qemu_cli.instance.details import details
        from qemu_cli.instance.resolve import anyone

        host = self.app.host
        vm = anyone(host, parsed_args.name)
        if vm.foreign:
            host = self.app.host_of(vm)
        row = _row(loop.run(details(host, vm)))
        return list(row), list(row.values())


def _row(found: "Details") -> dict[str, Any]:
    """All keys, in their order; those of ``list`` mean the same here."""
    vm, machine, process = found.vm, found.machine, found.process
    definition = found.definition
    here = vm.paths.directory
    row = {
        "name": vm.name,
        "state": State(vm.state),
        "reason": vm.reason,
        "run_state": vm.run_state,
        "origin": vm.origin,
        "joined": vm.joined or None,
        "own_name": vm.foreign.name if vm.foreign and vm.joined else None,
        "problems": _lines(list(found.problems), found.problems),
        "change": found.change,
        "directory": None if vm.foreign else str(vm.paths.directory),
        "user": vm.foreign and vm.foreign.user,
        "command": shlex.join(vm.process.argv)
        if vm.foreign and vm.process
        else None,
        "pid": process and process.pid,
        "uptime_s": Duration(round(process.uptime_s, 2)) if process else None,
        "cpu_time_s": Duration(round(process.cpu_s, 2)) if process else None,
        "rss_bytes": Size(process.rss_bytes) if process else None,
        "last_exit": _last_exit(found),
        "arch": machine.arch,
        "machine": machine.machine,
        "accel": machine.accel,
        "cpu": definition and definition.machine.cpu,
        "cpus": machine.cpus,
        "memory_mib": _memory(machine.memory_mib),
        "profile": definition and definition.profile,
        "firmware": None,
        "boot": None,
        "display": definition and definition.display,
        "tpm": definition and definition.tpm,
        "uuid": definition.uuid if definition else _foreign_uuid(vm),
        "created": definition and definition.created,
        "qemu_version": found.qemu_version,
        "qemu_binary": found.qemu_binary,
        "qemu_args": list(definition.qemu_args) if definition else None,
        "next_start": _next_start(found),
        "disks": _lines(
            found.disks, (_disk(disk, here) for disk in found.disks)
        ),
        "cdroms": None,
        "nics": None,
        "forwards": Named(
            plain(machine.forwards),
            "\n".join(map(_forward, machine.forwards)),
        ),
        "monitors": _lines(found.monitors, map(_use, found.monitors)),
        "console": Named(plain(found.console), _use(found.console))
        if found.console
        else None,
        "files": _lines(
            found.files,
            (f"{what}: {_short(f, here)}" for what, f in found.files.items()),
        ),
        "plugin": definition and plain(definition.plugin),
    }
    if definition is None:
        return row
    firmware, boot = definition.firmware, definition.boot
    row["firmware"] = Named(
        {**plain(firmware), "nvram": found.files.get("nvram")},
        " ".join(
            [firmware.kind, *filter(None, [firmware.code])]
            + ["(Secure Boot)"] * firmware.secure_boot
        ),
    )
    if boot:
        row["boot"] = Named(plain(boot), _words(plain(boot)))
    row["cdroms"] = _lines(
        definition.cdroms,
        (f"{cd.id}: {cd.file or 'empty'}" for cd in definition.cdroms),
    )
    row["nics"] = _lines(
        definition.nics,
        (
            f"{nic.id}: {nic.mac}, {nic.bridge or nic.backend}"
            for nic in definition.nics
        ),
    )
    return row


def _foreign_uuid(vm: "VM") -> str | None:
    return (vm.foreign and vm.foreign.uuid) or None


def _lines(data: Any, lines: Iterable[str]) -> Named:
    """Nested data for programs, a line for each part for people."""
    return Named(plain(data), "\n".join(lines))


def _words(table: dict[str, Any]) -> str:
    return "\n".join(
        f"{key}: {value}" for key, value in table.items() if value is not None
    )


def _memory(memory_mib: int | None) -> Size | None:
    return None if memory_mib is None else Size(memory_mib, unit=_MIB)


def _last_exit(found: "Details") -> Named | None:
    last = found.last_exit
    if last is None:
        return None
    return Named(plain(last), f"{last.reason}, {ago(last.time)}")


def _next_start(found: "Details") -> Named | None:
    """What has been changed in the definition of a running VM."""
    if found.process is None or found.definition is None:
        return None
    now, after = plain(found.machine), plain(found.next_machine)
    changed = {key: after[key] for key in after if after[key] != now[key]}
    return Named(changed, _words(changed))


def _short(file: str, directory: Path) -> str:
    """A path as people need it who know the instance's directory."""
    path = Path(file)
    inside = path.is_relative_to(directory)
    return str(path.relative_to(directory)) if inside else file


def _disk(disk: "DiskDetails", here: Path) -> str:
    parts = [
        f"{disk.id}: {_short(disk.file, here)} ({disk.format}, {disk.bus})"
    ]
    if disk.virtual_size_bytes is not None:
        parts.append(format_size(disk.virtual_size_bytes))
    if disk.actual_size_bytes is not None:
        parts.append(f"{format_size(disk.actual_size_bytes)} used")
    if disk.backing_file:
        parts.append(f"on {disk.backing_file}")
    if disk.read_only:
        parts.append("read-only")
    if disk.problem:
        parts.append(disk.problem)
    return ", ".join(parts)


def _forward(forward: "Forward") -> str:
    return (
        f"{forward.host_address}:{forward.host_port}→{forward.guest_port}"
        f"/{forward.protocol}"
    )


def _use(socket: "SocketUse") -> str:
    text = f"{socket.name}: {socket.use}"
    if socket.pid:
        text += f" by '{socket.command}' (pid {socket.pid})"
    if socket.waiting:
        text += f", {socket.waiting} waiting"
    return text
