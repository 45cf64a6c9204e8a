"""The state of a VM that has only a human monitor.

``list`` does not ask it; what is about to change the VM does.
"""

from qemu_cli.instance.host import Host
from qemu_cli.instance.looking import in_run_state
from qemu_cli.instance.vm import VM


async def asked(host: Host, vm: VM) -> VM:
    """Return the VM as its human monitor says; any other as it is.

    :raise BusyError: another client holds it
    :raise QemuCliError: it does not answer
    """
    if vm.state != "running" or not vm.monitors.human:
        return vm
    async with host.sessions.open(vm.monitors) as session:
        status = await session.execute("query-status")
    return in_run_state(vm, str(status["status"]))
