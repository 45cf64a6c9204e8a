"""The column ``greeting`` of ``qemu list``."""

from qemu_cli.instance.vm import VM


def greeting(vm: VM) -> str:
    """What this row's VM is greeted with."""
    return f"hello, {vm.name}"
