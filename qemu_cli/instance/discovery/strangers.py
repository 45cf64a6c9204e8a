"""Foreign QEMUs as VMs, so that commands need not know whose one is."""

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from socket import AF_UNIX
from types import MappingProxyType
from typing import TYPE_CHECKING
from zlib import crc32

from qemu_cli.hookfacts import ProcessFacts
from qemu_cli.instance.discovery import foreign
from qemu_cli.instance.discovery.foreign import Foreign
from qemu_cli.instance.vm import VM, instance_of
from qemu_cli.paths import Paths
from qemu_cli.proc import ProcFS
from qemu_cli.qmp.address import is_unix, parse

if TYPE_CHECKING:
    from qemu_cli.instance.discovery.joined import Joined


def strangers(
    paths: Paths,
    procfs: ProcFS,
    *,
    all_kinds: bool = False,
    label: Callable[[ProcessFacts], str | None] = lambda facts: None,
) -> list[VM]:
    """Find all VMs that are no instances of ours; nobody is asked yet.

    :param all_kinds: also what runs no VM, see ``foreign.KINDS``
    :param label: asks plug-ins whose a process is
    """
    found = foreign.find(
        procfs,
        skip=lambda process: instance_of(paths, process) is not None,
        all_kinds=all_kinds,
        label=label,
    )
    names = _names(paths, procfs)
    return [_vm(paths, one, names) for one in found]


def _names(paths: Paths, procfs: ProcFS) -> "Mapping[tuple[int, int], Joined]":
    """Those that were joined, by the pid and start time of the process."""
    if not paths.joined.exists():
        return {}
    # Imported when there may be one: `list` comes by at each run.
    from qemu_cli.instance.discovery.joined import living

    return living(paths, procfs)


def again(paths: Paths, procfs: ProcFS, vm: VM) -> VM | None:
    """Look at one again without asking it; None: it has ended."""
    assert vm.foreign is not None  # noqa: S101
    if vm.process is None:
        return _vm(paths, vm.foreign)
    now = foreign.look_again(procfs, vm.foreign)
    return _vm(paths, now, _names(paths, procfs)) if now else None


def at(paths: Paths, address: str, known: Iterable[VM]) -> VM:
    """Find the VM that has a monitor at an address.

    One that no process here has in its command line may be far away, at
    the other end of a tunnel.

    :param address: a path, ``@name`` or ``host:port``
    :param known: all VMs that are no instances of ours
    :raise UsageError: that is no address
    """
    from qemu_cli.instance.discovery.access import Access

    family, _ = parse(address)
    if family == AF_UNIX and not address.startswith("@"):
        address = os.path.abspath(address)  # noqa: PTH100
    for vm in known:
        assert vm.foreign is not None  # noqa: S101
        there = {vm.foreign.access.address or ""}
        there |= {
            monitor.address
            for monitor in vm.foreign.monitors
            if monitor.kind == "qmp"
        }
        if _here(address) in map(_here, there):
            return vm
    return _vm(
        paths,
        Foreign(
            process=None,
            kind="system",
            name=f"qmp:{address}",
            uuid="",
            origin="unknown",
            user=None,
            monitors=(),
            access=Access("free", "", address, address),
        ),
    )


def _here(address: str) -> str:
    """Return the same for all names of one TCP port of this host."""
    if is_unix(address):
        return address
    host, _, port = address.rpartition(":")
    return f":{port}" if host in _LOOPBACK else address


#: How this host is called as a server, and by its clients.
_LOOPBACK = {"", "localhost", "127.0.0.1", "[::1]", "0.0.0.0", "[::]"}  # noqa: S104


def _vm(
    paths: Paths,
    one: Foreign,
    names: "Mapping[tuple[int, int], Joined]" = MappingProxyType({}),
) -> VM:
    """Return the VM as far as /proc knows it.

    Whether its CPUs run, only its monitor knows: ``running`` means here
    that there is a process.
    """
    process = one.process
    key = (
        (process.pid, process.start_time)
        if process
        else (0, crc32(one.name.encode()))
    )
    mine = names.get(key)
    vm = VM(
        name=mine.name if mine else one.name,
        paths=paths.joined_stranger(mine.name, *key)
        if mine
        else paths.stranger(*key),
        state="running",
        process=process,
        reach=one.access.word,
        origin=one.origin,
        foreign=one,
        joined=mine is not None,
    )
    if process and process.stopped:
        return vm._replace(
            state="unresponsive",
            reason="QEMU is stopped by a signal (SIGSTOP)",
            reach="stopped",
        )
    return vm


def make_room(paths: Paths, vm: VM) -> None:
    """Make the directory for our things.

    Those of processes that have ended are removed; what listens in one
    of them is alive, though we may not see its process (pid namespaces).
    """
    for ours in (vm.paths.directory, vm.paths.runtime):  # one may be both
        ours.mkdir(mode=0o700, parents=True, exist_ok=True)
    procfs = ProcFS()
    for directory in paths.foreign.iterdir():
        pid, _, start_time = directory.name.partition("-")
        process = procfs.process(int(pid)) if pid.isdecimal() else None
        ended = process is None or str(process.start_time) != start_time
        if (
            ended
            and directory != vm.paths.runtime
            and str(directory / vm.paths.nbd_socket.name)
            not in procfs.listening()
        ):
            shutil.rmtree(directory, ignore_errors=True)
