"""The network cards of VMs, and what each is plugged into.

QEMU tells it in the human monitor only: ``info network`` (net/net.c).
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from qemu_cli import extensions
from qemu_cli.errors import (
    NotFoundError,
    QemuCliError,
    StateError,
    UsageError,
)
from qemu_cli.instance.host import Host
from qemu_cli.instance.net import links
from qemu_cli.instance.net.addresses import of_agent, of_neighbours
from qemu_cli.instance.vm import VM
from qemu_cli.suggest import did_you_mean

#: As in `` \\ net0: index=0,type=user,net=10.0.2.0,restrict=off``; one that
#: is on a hub (-net) has its port's name before its own.
_CLIENT = re.compile(
    r"(?P<indent> \\ )?(?:hub\d+port\d+: )?(?P<name>\S+): "
    r"index=(?P<index>\d+),"
    r"type=(?P<type>[\w-]+),?(?P<more>.*)"
)


class Card(NamedTuple):
    """A network card; None: that is not known.

    :param id: the device's, by which ``net link`` names it
    :param netdev: its backend's id, by which ``net capture`` names it
    :param backend: what that is: user, tap, bridge …
    :param details: what QEMU says of the backend
    :param link: ``up`` or ``down``; None: it does not run
    :param queues: how many it has (tap: ``queues=``)
    :param addresses: of the guest: what its agent tells, or this host has
        heard of who is behind a bridge
    """

    vm: str
    id: str | None
    model: str | None
    mac: str | None
    netdev: str | None
    backend: str | None
    details: str | None
    link: str | None
    queues: int = 1
    addresses: tuple[str, ...] = ()


class Found(NamedTuple):
    """The cards of one VM.

    :param problem: why those are not known that it has now
    """

    vm: VM
    cards: tuple[Card, ...]
    problem: str | None = None


async def look(host: Host, vms: Sequence[VM]) -> list[Found]:
    """Look at the cards of VMs, all at the same time.

    One that does not answer is no error: it says why.
    """
    return list(await asyncio.gather(*(_look(host, vm) for vm in vms)))


async def ask(host: Host, vm: VM) -> tuple[Card, ...]:
    """Ask a VM that runs.

    :raise QemuCliError: it does not answer
    """
    async with host.sessions.open(vm.monitors) as session:
        text = await session.human("info network")
    down = links.down(vm)
    return tuple(
        card._replace(link="down" if card.id in down else "up")
        for card in parse(vm.name, text)
    )


def pick(
    vm: VM, cards: Sequence[Card], wanted: str | None, *, backends: bool
) -> str:
    """The id of a card, or of its backend.

    :param wanted: either id; None: the only one
    :raise StateError: there is none at all
    :raise NotFoundError: there is none of that id
    :raise UsageError: there are several, and none is named
    """
    ids = {
        id: (card.netdev if backends else card.id) or ""
        for card in cards
        for id in (card.netdev, card.id)
        if id
    }
    mine = list(dict.fromkeys(id for id in ids.values() if id))
    if not mine:
        what = "network" if backends else "network card"
        raise StateError(f"'{vm.name}' has no {what}")
    if wanted is None:
        if len(mine) > 1:
            raise UsageError(
                f"'{vm.name}' has {len(mine)} network cards",
                hint=f"say which: {', '.join(mine)}",
            )
        return mine[0]
    if not ids.get(wanted):
        raise NotFoundError(
            f"'{vm.name}' has no network card '{wanted}'",
            hint=did_you_mean(wanted, mine) or f"it has {', '.join(mine)}",
        )
    return ids[wanted]


def parse(vm: str, text: str) -> list[Card]:
    """Read what ``info network`` says.

    A card without a backend is one, and so is a backend without a card.
    The second queue of a card, and all others, come as if they were cards.
    On a hub every card has every backend; the first is named.
    """
    cards: list[Card] = []
    group: list[tuple[str, str, str]] = []

    def close() -> None:
        nics = [each for each in group if each[1] == "nic"]
        others = [each for each in group if each[1] not in ("nic", "hubport")]
        netdev, backend, details = others[0] if others else (None,) * 3
        for id, _, more in nics or [("", "", "")] * bool(others):
            keys = _keys(more)
            card = Card(
                *(vm, id or None, keys.get("model"), keys.get("macaddr")),
                *(netdev, backend, details, None),
            )
            cards.append(card)
        group.clear()

    for line in text.splitlines():
        match = _CLIENT.fullmatch(line.rstrip())
        if match is None or not match["indent"]:
            close()
        if match and match["index"] != "0":
            if not match["indent"] and cards:
                queues = int(match["index"]) + 1
                cards[-1] = cards[-1]._replace(queues=queues)
        elif match:
            group.append((match["name"], match["type"], match["more"]))
    close()
    return cards


async def _look(host: Host, vm: VM) -> Found:
    if vm.alive:
        try:
            found = await ask(host, vm)
            told = await of_agent(host, vm)
            return Found(vm, tuple(_reached(card, told) for card in found))
        except QemuCliError as error:
            return Found(vm, () if vm.foreign else _defined(vm), str(error))
    return Found(vm, () if vm.foreign else _defined(vm))


def _reached(card: Card, told: Mapping[str, tuple[str, ...]]) -> Card:
    mac = (card.mac or "").lower()
    known = told.get(mac, ())
    if not known and mac and card.backend != "user":
        known = of_neighbours().get(mac, ())
    return card._replace(addresses=known)


def _defined(vm: VM) -> tuple[Card, ...]:
    try:
        definition = vm.definition
        profile = extensions.pick("qemu_cli.profiles", definition.profile)()
        models = [profile.nic(nic) for nic in definition.nics]
    except QemuCliError:
        return ()
    return tuple(
        Card(
            *(vm.name, nic.id, model.partition(",")[0], nic.mac),
            *(nic.id, nic.backend),
            f"br={nic.bridge}" if nic.bridge else None,
            None,
        )
        for nic, model in zip(definition.nics, models, strict=True)
    )


def _keys(text: str) -> dict[str, str]:
    pairs = (word.partition("=") for word in text.split(","))
    return {key: value for key, equals, value in pairs if equals}
