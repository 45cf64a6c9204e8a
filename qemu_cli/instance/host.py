"""What every operation on an instance needs from the program around it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, NamedTuple, Protocol

from qemu_cli import settings
from qemu_cli.config import Config
from qemu_cli.errors import QemuCliError
from qemu_cli.hookfacts import VMFacts
from qemu_cli.hooks import Hooks
from qemu_cli.paths import InstancePaths, Paths
from qemu_cli.proc import ProcFS
from qemu_cli.progress import Unit
from qemu_cli.qmp.probe import Answer, Target
from qemu_cli.qmp.sessions import Sessions

if TYPE_CHECKING:
    from qemu_cli.instance.model import Definition
    from qemu_cli.instance.vm import VM
    from qemu_cli.qmp.schema import Schema
    from qemu_cli.qmp.session import Session


class Progress(Protocol):
    """Shows how far something is; see ``UI.progress``."""

    def __call__(
        self, label: str, unit: Unit = ""
    ) -> AbstractContextManager[Callable[[int, int], None]]:
        """Show one thing, for the length of a block."""


class Host(NamedTuple):
    """The user's surroundings on this host.

    :param say: tells the user, on stderr, what goes on
    :param warn: the same for what went wrong but stops nothing
    :param progress: shows how far something is
    :param who: the command as it was typed, for locks and histories
    """

    paths: Paths
    config: Config
    sessions: Sessions
    hooks: Hooks
    say: Callable[[str], None]
    warn: Callable[[str], None]
    progress: Progress
    who: str

    def probe(self, targets: Iterable[Target]) -> list[Answer]:
        """Ask monitors, for as long as the setting allows."""
        timeout_s = self.config[settings.PROBE_TIMEOUT]
        return self.sessions.probe(targets, timeout_s=timeout_s)

    def strangers(
        self, procfs: "ProcFS", *, all_kinds: bool = False
    ) -> "list[VM]":
        """Find the VMs that somebody else started; nobody is asked yet."""
        from qemu_cli.instance.discovery.strangers import strangers

        return strangers(
            self.paths,
            procfs,
            all_kinds=all_kinds,
            label=self.hooks.label_process,
        )

    def exporting(self, procfs: "ProcFS") -> "list[VM]":
        """Find those of them whose disks we have served."""
        if not self.paths.foreign.is_dir():
            return []
        return [
            vm for vm in self.strangers(procfs) if vm.paths.exports.is_dir()
        ]

    def telling(self, tell: Callable[[str], None]) -> "Host":
        """Return the same, for who has the screen for himself.

        :param tell: gets what is said and warned; progress is not shown
        """
        return self._replace(
            hooks=Hooks(tell), say=tell, warn=tell, progress=_no_progress
        )

    async def schema(self, vm: "VM", session: "Session") -> "Schema":
        """What the QEMU of a running VM takes, from itself or the cache."""
        from qemu_cli.qmp import schema

        binary = vm.process and ProcFS().executable(vm.process)
        return await schema.load(session, binary, self.paths.cache)

    def seen_by(self, paths: InstancePaths) -> "Host":
        """Return the same, with the settings that an instance has itself.

        A definition that can't be understood has none: the VM can be
        looked at and ended all the same.  A start tells what is wrong.
        """
        from qemu_cli.instance import definitions

        try:
            table = definitions.load(paths.definition).config
            config = self.config.for_instance(table, str(paths.definition))
        except QemuCliError:
            return self
        sessions = self.sessions.waiting(
            connect_timeout_s=config[settings.CONNECT_TIMEOUT],
            lock_timeout_s=config[settings.LOCK_TIMEOUT],
        )
        return self._replace(config=config, sessions=sessions)


@contextmanager
def _no_progress(
    label: str, unit: Unit = ""
) -> Iterator[Callable[[int, int], None]]:
    yield lambda current, total: None


def vm_facts(
    paths: InstancePaths, definition: "Definition", pid: int | None = None
) -> VMFacts:
    """Return what hooks are told about an instance."""
    return VMFacts(
        name=paths.name,
        directory=paths.directory,
        uuid=definition.uuid,
        arch=definition.arch,
        machine=definition.machine.type,
        pid=pid,
        plugin=definition.plugin,
    )


def known_facts(vm: "VM") -> VMFacts | None:
    """Return what hooks are told about a VM.

    :return: None when its definition is broken: whose plug-ins are told?
    """
    try:
        definition = vm.definition
    except QemuCliError:
        return None
    pid = vm.process.pid if vm.process else None
    return vm_facts(vm.paths, definition, pid)


def pid_of(vm: "VM") -> int:
    """The process of a VM that has one."""
    assert vm.process is not None  # noqa: S101
    return vm.process.pid
