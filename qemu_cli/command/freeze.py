"""What is said, and asked, before a guest stands still for a while."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from qemu_cli.ui import UI
from qemu_cli.units import format_duration, format_size

if TYPE_CHECKING:
    from qemu_cli.instance.snapshots.freeze import Freeze


def consent(
    ui: UI, name: str, limit_s: float, *, yes: bool, instead: str
) -> "Callable[[Freeze], None]":
    """Return what says how long it takes, and asks when that is long.

    :param name: of the VM
    :param limit_s: nobody is asked for less
    :param yes: agreed on the command line
    :param instead: what else can be done, as a hint
    """

    def told(freeze: "Freeze") -> None:
        size = format_size(freeze.ram_bytes)
        rate = format_size(int(freeze.rate))
        seconds = format_duration(freeze.seconds)
        how = f", at about {rate} a second" if freeze.measured else ""
        long = f"about {seconds}" if freeze.measured else f"{seconds} at most"
        ui.say(
            f"{name}: up to {size} of RAM are to be written{how}: the guest "
            f"stands still for {long}"
        )
        if freeze.seconds > limit_s and not yes:
            ui.advise("freeze", instead)
            ui.confirm(f"hold up the guest for {seconds}", False)

    return told
