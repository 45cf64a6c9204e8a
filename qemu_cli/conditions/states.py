"""``running``, ``paused``, ``stopped``."""

from collections.abc import Callable

from qemu_cli.conditions import Condition
from qemu_cli.instance import watched
from qemu_cli.instance.host import Host
from qemu_cli.instance.vm import VM


class _State(Condition):
    """A VM is in a state."""

    outlives = True
    holds: Callable[[VM], bool]

    async def hold(self, host: Host, vm: VM) -> str:
        async for now in watched.states(host, vm):
            if type(self).holds(now):
                return (
                    f"{now.state}: {now.reason}" if now.reason else now.state
                )
        raise AssertionError  # states() has no end


class Running(_State):
    """The guest's CPUs run."""

    @staticmethod
    def holds(vm: VM) -> bool:
        return vm.state == "running"


class Paused(_State):
    """QEMU is there, and the guest's CPUs stand still."""

    @staticmethod
    def holds(vm: VM) -> bool:
        return vm.state == "paused"


class Stopped(_State):
    """There is no QEMU, however it has ended."""

    @staticmethod
    def holds(vm: VM) -> bool:
        return not vm.alive
