"""What commands that change a definition say about it."""

from typing import TYPE_CHECKING, Any

from qemu_cli.columns import flat
from qemu_cli.ui import UI

if TYPE_CHECKING:
    from qemu_cli.instance.redefine import Redefined


def tell(ui: UI, name: str, done: "Redefined") -> None:
    """Say what has changed, and when it counts."""
    if done.changes is None:
        ui.say(f"{name}: its definition can be understood again")
        return
    if not done.changes:
        ui.say(f"{name}: nothing has changed")
    for key, (old, new) in done.changes.items():
        ui.say(f"{name}: {key}: {_shown(old)} → {_shown(new)}")
    if done.waits:
        ui.say(f"{name}: this waits for the next start")


def _shown(value: Any) -> str:
    if value is None or value == []:
        return "nothing"
    if isinstance(value, list) and "host_port" in value[0]:
        return ", ".join(f"{f['host_port']}:{f['guest_port']}" for f in value)
    return flat(value)
