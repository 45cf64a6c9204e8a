"""Checks what ``[plugin.guest]`` says about ssh."""

from qemu_cli.hookspecs import VMFacts, hookimpl
from qemu_cli_guest import ssh


@hookimpl
def qemu_cli_check_definition(vm: VMFacts) -> list[str]:
    """Judge the keys that begin with ssh."""
    return ssh.check(vm.plugin.get("guest", {}))
