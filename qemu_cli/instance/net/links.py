"""The cable of a network card: pulled out, and put in again.

QEMU has no answer to the question whether a link is up.  So what we did is
written down, with the process that it was done to; what others did with
``set_link`` is not known.  Where a guest goes on from its RAM the links
are set again: see :class:`qemu_cli.steps.cable.SetLinks`.
"""

import contextlib
import json
from typing import Any

from qemu_cli.files import write_atomically
from qemu_cli.instance import history
from qemu_cli.instance.change import attending
from qemu_cli.instance.host import Host
from qemu_cli.instance.pause import check_answers
from qemu_cli.instance.vm import VM
from qemu_cli.steps.cable import SetLinks


async def set_link(host: Host, vm: VM, wanted: str | None, *, up: bool) -> str:
    """Have a card's link go up or down (QMP ``set_link``), until it ends.

    :param wanted: the card's id; None: the only one
    :return: the card's id
    :raise StateError: the VM does not run, or has no card
    """
    from qemu_cli.instance.net import cards

    async with attending(host, vm) as now:
        check_answers(now)
        found = await cards.ask(host, now)
        id = cards.pick(now, found, wanted, backends=False)
        async with host.sessions.open(now.monitors) as session:
            await session.execute("set_link", {"name": id, "up": up})
        links = down(now) - {id} if up else down(now) | {id}
        _write(now, links)
        history.note(vm.paths, "net link", command=host.who, nic=id, up=up)
        return id


async def set_again(host: Host, vm: VM) -> SetLinks:
    """Work out how the links are after the same QEMU has loaded a RAM."""
    from qemu_cli.instance.net import cards

    pulled = down(vm)
    ids = [card.id for card in await cards.ask(host, vm) if card.id]
    return SetLinks(
        tuple(id for id in ids if id not in pulled),
        tuple(id for id in ids if id in pulled),
    )


def down(vm: VM) -> frozenset[str]:
    """The cards whose link we have taken down in this run."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        record = json.loads(vm.paths.links.read_bytes())
        if record["run"] == _run(vm):
            return frozenset(record["down"])
    return frozenset()


def _write(vm: VM, links: frozenset[str]) -> None:
    record = {"run": _run(vm), "down": sorted(links)}
    write_atomically(vm.paths.links, json.dumps(record) + "\n")


def _run(vm: VM) -> Any:
    """What no other process is."""
    process = vm.process
    return process and [process.pid, process.start_time]
