"""What commands subclass; the same for ours and for plug-ins.

=================  =====================================================
:class:`Command`   anything else
:class:`Lister`    shows a table; every output format
:class:`ShowOne`   shows one thing; every output format
`VMCommand`        does something to one or many VMs
`Follower`         writes lines for as long as something happens
=================  =====================================================
"""

from typing import TYPE_CHECKING, Any

from qemu_cli.command.base import Command, Parser
from qemu_cli.command.display import Lister, ShowOne

if TYPE_CHECKING:
    from qemu_cli.command.follow import Follower
    from qemu_cli.command.vm import Result, VMCommand

__all__ = (
    "Command",
    "Follower",
    "Lister",
    "Parser",
    "Result",
    "ShowOne",
    "VMCommand",
)


def __getattr__(name: str) -> Any:
    """Import what ``qemu list`` does not need when it is asked for."""
    if name in (
        "Result",
        "VMCommand",
    ):
        from qemu_cli.command import vm

        return getattr(vm, name)
    if name == "Follower":
        from qemu_cli.command.follow import Follower

        return Follower
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
