"""reboot: whose reset it was."""

import asyncio
from types import SimpleNamespace

import pytest

from qemu_cli.errors import QemuCliError
from qemu_cli.instance.reboot import _happened
from qemu_cli.qmp.session import Event

WEB = SimpleNamespace(name="web", foreign=None)


class Events:
    """Says what it was given, and then nothing any more."""

    def __init__(self, *events: Event) -> None:
        self.left = list(events)

    async def get(self) -> Event:
        if self.left:
            return self.left.pop(0)
        await asyncio.Event().wait()
        raise AssertionError


def reset(time_s: float, *, guest: bool = True) -> Event:
    return Event("RESET", {"guest": guest}, time_s)


@pytest.mark.parametrize(
    ("events", "outcome"),
    [
        ([reset(100.0)], True),
        ([reset(99.9)], False),
        ([reset(101.0, guest=False)], False),
        ([reset(99.9), reset(101.0, guest=False), reset(101.5)], True),
    ],
)
def test_only_the_guests_own_reset_after_it_was_asked(events, outcome):
    happened = _happened(WEB, Events(*events), 100.0, 0.05)
    assert asyncio.run(happened) is outcome


def test_a_guest_that_shuts_down_instead():
    events = Events(reset(99.0), Event("SHUTDOWN", {}, 101.0))
    with pytest.raises(QemuCliError, match="shut down instead"):
        asyncio.run(_happened(WEB, events, 100.0, 0.05))
