"""A VM's states, one after the other, as they change."""

from collections.abc import AsyncIterator

from qemu_cli.errors import StateError
from qemu_cli.instance import looking
from qemu_cli.instance.host import Host
from qemu_cli.instance.vm import VM
from qemu_cli.proc import ProcFS
from qemu_cli.watch import BOUND_S, watching

#: A VM that is starting or busy is looked at again after this.
_SOON_S = 0.1

_PASSING = frozenset({"starting", "busy", "unresponsive"})


async def states(host: Host, vm: VM) -> AsyncIterator[VM]:
    """Yield the VM as it is, and each time that it may have changed.

    QEMU writes down what happens to it, and its pid file comes and goes;
    a QEMU that was killed is missed after a second, and one that somebody
    else started is asked each second.

    :raise StateError: the instance is gone
    """
    paths = vm.paths
    ours = {paths.events_out.name, paths.pid_file.name, paths.saved_facts.name}
    with watching(paths.directory) as watch:
        while True:
            now = look(host, vm)
            yield now
            if not paths.directory.is_dir():
                raise StateError(f"the instance '{vm.name}' is gone")
            wait_s = _SOON_S if now.state in _PASSING else BOUND_S
            while (changed := await watch.changed(wait_s)) and not (
                changed & ours
            ):
                pass  # a log grows


async def alive(host: Host, vm: VM) -> VM:
    """Wait until a VM has a process, and that listens itself."""
    async for now in states(host, vm):
        if now.alive and now.state != "starting" and now.reach != "stranger":
            return now
    raise AssertionError  # states() has no end


async def ended(host: Host, vm: VM) -> None:
    """Wait until a VM that runs has no process any more."""
    async for now in states(host, vm):
        if not now.alive:
            return


def look(host: Host, vm: VM) -> VM:
    """Look at a VM again."""
    procfs = ProcFS()
    wanted: str | VM = vm.name
    if vm.foreign:
        from qemu_cli.instance.discovery.strangers import again

        now = again(host.paths, procfs, vm)
        if now is None:
            return vm._replace(state="stopped", process=None, run_state=None)
        wanted = now
    return looking.look(host.paths, [wanted], procfs, host.probe)[0]
