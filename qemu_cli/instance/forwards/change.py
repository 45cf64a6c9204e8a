"""Forwards added and removed: at once, and in the definition.

A running VM gets and loses them at once (``hostfwd_add``), and its
definition says what the next start has.  A VM that somebody else started
has no definition: its forwards last as long as it runs.
"""

from collections.abc import Callable
from typing import Any

import tomlkit

from qemu_cli.errors import NotFoundError, StateError, UsageError
from qemu_cli.instance import change, history
from qemu_cli.instance.disks.done import Done
from qemu_cli.instance.disks.edit import edit
from qemu_cli.instance.forwards import clash
from qemu_cli.instance.forwards.flows import flows
from qemu_cli.instance.forwards.rows import Row, defined_rows, live_rows
from qemu_cli.instance.host import Host
from qemu_cli.instance.model import Forward
from qemu_cli.instance.pause import check_answers
from qemu_cli.instance.vm import VM
from qemu_cli.instance.wish import ForwardWish
from qemu_cli.steps import AnyStep, Plan
from qemu_cli.steps.usernet import AddForward, DropForward, Flow


async def add(
    host: Host,
    vm: VM,
    wish: ForwardWish,
    *,
    nic: str | None = None,
    next_start: bool = False,
    dry_run: bool = False,
) -> Done:
    """Add a forward, at once if the VM runs.

    :param wish: a host port of 0 means any that is free
    :param nic: the NIC's id; None: the first in a user network
    :param next_start: leave the machine that runs as it is
    :raise StateError: the port has an owner, whom it names
    :raise NotFoundError: there is no such NIC
    """
    async with change.attending(host, vm) as now:
        hot = now.alive and not next_start
        live: dict[str, list[Flow]] = {}
        if hot:
            check_answers(now)
            live = await flows(host, now)
        elif now.foreign:
            raise UsageError(
                f"'{now.name}' is no instance of yours: a forward of it "
                "lasts as long as it runs, and can't wait"
            )
        where = _nic(now, nic, live)
        if hot and where not in live:
            raise StateError(
                f"'{now.name}' runs without the NIC {where}",
                hint="--next-start adds the forward for when it is there",
            )
        port = clash.host_port(host, wish)
        if hot:
            clash.check_free(wish.protocol, wish.host_address, port)
        row = Row(
            where, wish.protocol, wish.host_address, port, wish.guest_port
        )
        steps: list[AnyStep] = []
        if not now.foreign:
            steps.append(edit(host, now.paths, _appending(row)).step)
        if hot:
            steps.append(AddForward(where, row.rule))
        text = f"forwards {row.text}"
        if now.alive and not hot:
            text += ", from the next start on"
        return await _do(host, now, "add", row, text, steps, dry_run)


async def remove(
    host: Host,
    vm: VM,
    wish: ForwardWish,
    *,
    any_address: bool = True,
    next_start: bool = False,
    dry_run: bool = False,
) -> Done:
    """Remove a forward, at once if the VM runs.

    Connections that came in through it go on.

    :param wish: a host port of 0 means the only one to the guest's port
    :param any_address: whatever address of the host it listens on
    :raise NotFoundError: there is none
    :raise UsageError: there are several
    """
    async with change.attending(host, vm) as now:
        hot = now.alive and not next_start
        if hot:
            check_answers(now)
        defined = [] if now.foreign else list(defined_rows(now))
        live = live_rows(await flows(host, now)) if hot else []
        known = list(dict.fromkeys([*defined, *live]))
        row = _one(now.name, wish, known, any_address=any_address)
        steps: list[AnyStep] = []
        if row in live:
            steps.append(DropForward(row.nic, row.rule))
        if row in defined:
            steps.append(edit(host, now.paths, _dropping(row)).step)
        text = f"forwards {row.text} no more"
        if now.alive and not hot:
            text += ", from the next start on"
        return await _do(host, now, "remove", row, text, steps, dry_run)


def _nic(vm: VM, wanted: str | None, live: dict[str, list[Flow]]) -> str:
    nics: list[str] = list(live)
    if not vm.foreign:
        nics = [nic.id for nic in vm.definition.nics if nic.backend == "user"]
    if wanted in nics:
        return str(wanted)
    if not nics:
        raise StateError(
            f"'{vm.name}' has no NIC in a user network: there is nothing to "
            "forward into",
            hint=None
            if vm.foreign
            else f"'qemu device add {vm.name} virtio-net-pci' adds one",
        )
    if wanted is not None:
        raise NotFoundError(
            f"'{vm.name}' has no NIC '{wanted}' in a user network",
            hint=f"it has {', '.join(nics)}",
        )
    return nics[0]


def _one(
    name: str, wish: ForwardWish, known: list[Row], *, any_address: bool
) -> Row:
    found = [
        row
        for row in known
        if (row.protocol, row.guest_port) == (wish.protocol, wish.guest_port)
        and wish.host_port in (0, row.host_port)
        and (any_address or row.host_address == wish.host_address)
    ]
    if not found:
        typed = " and ".join(row.words for row in known)
        raise NotFoundError(
            f"'{name}' has no such forward",
            hint=f"it has {typed}" if known else None,
        )
    if len(found) > 1:
        raise UsageError(
            f"'{name}' has {len(found)} forwards to the guest's port "
            f"{wish.guest_port}",
            hint=f"say which: {' or '.join(row.words for row in found)}",
        )
    return found[0]


def _appending(row: Row) -> Callable[[Any], None]:
    def append(document: Any) -> None:
        nic = _entry(document, row.nic)
        entry = {
            "host_port": row.host_port,
            "guest_port": row.guest_port,
            "host_address": row.host_address,
            "protocol": row.protocol,
        }
        item = tomlkit.item(entry)
        item.add(tomlkit.nl())
        if nic.get("forwards"):
            nic["forwards"].append(item)
        else:
            nic["forwards"] = [item]

    return append


def _dropping(row: Row) -> Callable[[Any], None]:
    def drop(document: Any) -> None:
        nic = _entry(document, row.nic)
        default = Forward(host_port=1, guest_port=1)
        for number, each in enumerate(nic["forwards"]):
            if row == Row(
                row.nic,
                each.get("protocol", default.protocol),
                each.get("host_address", default.host_address),
                each["host_port"],
                each["guest_port"],
            ):
                del nic["forwards"][number]
                break
        if not nic["forwards"]:
            del nic["forwards"]

    return drop


def _entry(document: Any, id: str) -> Any:
    return next(nic for nic in document["nics"] if nic["id"] == id)


async def _do(
    host: Host,
    vm: VM,
    verb: str,
    row: Row,
    text: str,
    steps: list[AnyStep],
    dry_run: bool,
) -> Done:
    action = f"forward {verb}"
    data = row._asdict()
    del data["problem"]
    done = Done(Plan(f"{action} {vm.name}", tuple(steps)), text, data)
    if not dry_run:
        await change.run_on(host, vm, done.plan)
        history.note(vm.paths, action, command=host.who, **data)
    return done
