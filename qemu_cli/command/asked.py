"""The values of a plug-in's column, for all VMs of a table."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from qemu_cli import settings
from qemu_cli.errors import QemuCliError

if TYPE_CHECKING:
    from qemu_cli.app import QemuApp
    from qemu_cli.instance.host import Host
    from qemu_cli.instance.vm import VM


def column_values(
    app: "QemuApp", column: Callable[..., Any], vms: Sequence["VM"]
) -> list[Any]:
    """Fetch a column; a plain one is a function of the VM.

    One that is ``async def`` gets host and VM.  Where it fails nothing is
    shown: a table is no place for errors, and -v tells them.
    """
    import inspect

    if not inspect.iscoroutinefunction(column):
        return [column(vm) for vm in vms]
    from qemu_cli.command import loop

    return loop.run(_asked(app, column, vms))


async def _asked(
    app: "QemuApp",
    column: "Callable[[Host, VM], Awaitable[Any]]",
    vms: Sequence["VM"],
) -> list[Any]:
    import asyncio

    room = asyncio.Semaphore(app.config[settings.JOBS_PARALLEL])

    async def one(vm: "VM") -> Any:
        async with room:
            try:
                return await column(app.host_of(vm), vm)
            except QemuCliError as error:
                app.ui.detail(f"{vm.name}: {error}")
                return None

    return list(await asyncio.gather(*map(one, vms)))
