"""A VM and its state, derived at each look and never stored.

How it is derived is in :mod:`qemu_cli.instance.looking`.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from qemu_cli.errors import QemuCliError, StateError
from qemu_cli.instance.pid_file import read_pid
from qemu_cli.paths import InstancePaths, Paths
from qemu_cli.proc import Process, ProcFS
from qemu_cli.qmp.address import Monitors

if TYPE_CHECKING:
    from qemu_cli.instance.discovery.foreign import Foreign
    from qemu_cli.instance.model import Definition

#: All states that a VM can be in.
STATES = (
    "stopped",
    "starting",
    "running",
    "paused",
    "busy",
    "unresponsive",
    "crashed",
    "broken",
)

#: States in which there is a QEMU process.
ALIVE = frozenset({"starting", "running", "paused", "busy", "unresponsive"})


class VM(NamedTuple):
    """One VM, as it was when it was looked at.

    :param state: one of :data:`STATES`
    :param reason: why it is in that state, in a few words, or ``""``
    :param run_state: QEMU's own word (QAPI RunState), when it answered
    :param reach: what the probe found of its monitor, see
        :class:`~qemu_cli.qmp.probe.Answer`; ``none`` without a process;
        of a VM that somebody else started, and that was not asked, the
        word of its :class:`~qemu_cli.instance.discovery.access.Access`
    :param foreign: what is known of a VM that somebody else started
    :param joined: the name is one that ``qemu join`` gave it; its own is
        that of ``foreign``
    """

    name: str
    paths: InstancePaths
    state: str
    reason: str = ""
    process: Process | None = None
    run_state: str | None = None
    reach: str = "none"
    version: tuple[int, int, int] | None = None
    origin: str = "ours"
    foreign: "Foreign | None" = None
    joined: bool = False

    @property
    def reference(self) -> str:
        """What it can always be called by."""
        if self.foreign is None or self.process is None:
            return self.name
        return f"pid:{self.process.pid}"

    @property
    def alive(self) -> bool:
        """Whether there is a QEMU process, here or where it answers from."""
        return self.process is not None or self.run_state is not None

    @property
    def monitors(self) -> Monitors:
        """Where its monitors are, and who must answer there."""
        paths = self.paths
        if self.foreign:
            from qemu_cli.instance.discovery import refusal

            access = self.foreign.access
            human = access.human and access.address is not None
            why = refusal.only_hmp if human else refusal.refusal
            return Monitors(
                control=access.address,
                lock=str(paths.monitor_lock),
                pid=self.process.pid if self.process else None,
                bound=access.bound,
                problem=why(self.foreign, self.name),
                human=human,
            )
        return Monitors(
            control=str(paths.control_socket),
            probe=str(paths.probe_socket),
            followers=tuple(str(path) for path in paths.follower_sockets),
            agent=str(paths.agent_socket),
            lock=str(paths.monitor_lock),
            pid=self.process.pid if self.process else None,
        )

    @property
    def definition(self) -> "Definition":
        """What it is made of, read now.

        :raise DefinitionError: it can't be understood
        :raise StateError: it is no instance of ours
        """
        from qemu_cli.instance import definitions

        if self.foreign:
            raise no_instance(self)
        return definitions.load(self.paths.definition)


def no_instance(vm: VM, why: str = "definition") -> StateError:
    """Say what can't be done to a VM that somebody else started.

    :param why: a word of ``refusal.WHY``
    """
    from qemu_cli.instance.discovery.refusal import not_ours

    assert vm.foreign is not None  # noqa: S101
    return not_ours(vm.foreign, vm.name, vm.reference, why)


def names(paths: Paths) -> list[str]:
    """Return the names of all instances, sorted.

    A running VM whose directory was removed is found by its sockets.
    """
    found = _entries(paths.instances)
    others = _entries(paths.runtime) - found
    if others:
        # The directory of a long name's sockets is called otherwise.
        others -= {paths.instance(name).runtime.name for name in found}
    if others:
        listening = ProcFS().listening()
        found |= {
            name
            for name in others
            if str(paths.runtime / name / "probe.sock") in listening
        }
    return sorted(found)


def _entries(directory: Path) -> set[str]:
    try:
        with os.scandir(directory) as entries:
            return {
                entry.name
                for entry in entries
                if not entry.name.startswith(".") and _is_dir(entry)
            }
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:
        raise QemuCliError(
            f"{directory} can't be read: {error.strerror}",
            hint="'qemu doctor' looks at permissions",
        ) from error


def _is_dir(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link that leads in a circle


def instance_of(paths: Paths, process: Process) -> str | None:
    """Name the instance that a process belongs to, as :func:`look` sees it."""
    for word in process.argv:
        if word.endswith("/qemu.pid"):
            instance = paths.instance(Path(word).parent.name)
            if str(instance.pid_file) == word and (
                read_pid(instance.pid_file)[0] == process.pid
                or not instance.definition.exists()
            ):
                return instance.name
    return None
