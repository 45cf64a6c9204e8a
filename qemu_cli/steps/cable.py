"""The cables of network cards, after a guest's RAM has been loaded.

The card's half of a link that was down is in the RAM, and its backend's
half is not: QEMU then throws frames away one way, and the guest sees
another link than the host (hw/net/virtio-net.c ``virtio_net_post_load``,
net/net.c ``qmp_set_link``).
"""

import contextlib

from qemu_cli.errors import ConnectionLostError, RefusedError, StateError
from qemu_cli.steps.base import Hands, Step


class SetLinks(Step, frozen=True, tag=True):
    """Have links up or down (QMP ``set_link``), whatever they are.

    :param up: the cards' ids
    :param down: the same
    """

    up: tuple[str, ...]
    down: tuple[str, ...] = ()

    def describe(self) -> str:
        return "\n".join(
            f'qmp {{"execute": "set_link", "arguments": {{"name": "{id}", '
            f'"up": {"true" if id in self.up else "false"}}}}}'
            for id in (*self.up, *self.down)
        )

    async def do(self, hands: Hands) -> None:
        if not await hands.runs():
            return
        for id in (*self.up, *self.down):
            # One that dies now is the next step's: it lets the guest run.
            with contextlib.suppress(
                RefusedError, ConnectionLostError, StateError
            ):
                await hands.execute(
                    "set_link", {"name": id, "up": id in self.up}
                )
