"""``qemu cpu set``: CPUs plugged in, or out, while the guest runs.

Those that a machine was started with stay, for the machine goes by them.

They come and go one by one, each by a plan of its own: what is done is
done, and the definition says so, wherever it ends.
(qapi/machine.json: query-hotpluggable-cpus)
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import tomlkit

from qemu_cli.errors import RefusedError, StateError
from qemu_cli.instance import change
from qemu_cli.instance.devices import sizes
from qemu_cli.instance.disks import edit, guard
from qemu_cli.instance.disks.done import Done, do
from qemu_cli.instance.disks.slots import CONTAINERS
from qemu_cli.instance.host import Host
from qemu_cli.instance.model import Cpu
from qemu_cli.instance.vm import VM
from qemu_cli.steps import Plan
from qemu_cli.steps.block import Plug, Unplug

if TYPE_CHECKING:
    from qemu_cli.qmp.session import Session

_ACTION = "cpu set"


class Place(NamedTuple):
    """Where a machine has a CPU, or has room for one.

    :param driver: what is, or can be plugged in there
    :param props: as ``device_add`` takes them
    :param path: in QOM; None: there is none
    """

    driver: str
    props: dict[str, int]
    path: str | None

    @property
    def id(self) -> str | None:
        """Of a CPU that was plugged in."""
        if self.path is None or not self.path.startswith(CONTAINERS[0]):
            return None
        return self.path.rpartition("/")[2]


class Change(NamedTuple):
    """One CPU more, or one less.

    :param cpus: that are plugged in then
    """

    step: Plug | Unplug
    cpus: tuple[Cpu, ...]


async def set_cpus(
    host: Host,
    vm: VM,
    number: int,
    *,
    next_start: bool = False,
    timeout_s: float,
    dry_run: bool = False,
) -> Done:
    """Give a VM another number of CPUs.

    :param next_start: leave the machine that runs as it is
    :param timeout_s: how long the guest may take to let go of each
    :raise UsageError: the board can't have so many
    :raise StateError: the machine that runs can't; says what to change
    :raise TimedOutError: the guest did not let go of one
    :raise RefusedError: the guest, or QEMU, does not want to
    """
    text, data = f"has {_cpus(number)}", {"cpus": number, "waits": False}
    if not vm.alive or next_start:
        return await sizes.define(
            *(host, vm, _ACTION, _put(number, ()), text, data),
            dry_run=dry_run,
        )
    paths = vm.paths
    async with change.changing(host, paths) as now:
        guard.check_changeable(now)
        sizes.check_running(now, "CPUs")
        async with host.sessions.open(now.monitors) as session:
            places = await look(session)
        plans = []
        for plan in _plans(host, now, places, number, timeout_s):
            done = Done(plan, text, data)
            await do(host, paths, done, action=_ACTION, dry_run=dry_run)
            plans.append(plan)
    if number > len([each for each in places if each.path]):
        text += "; the guest may have to bring them online"
    shown = sizes.together(f"{_ACTION} {paths.name}", plans)
    return Done(shown, text, data)


async def look(session: "Session") -> list[Place]:
    """Ask a QEMU for all its places for CPUs, the first one first.

    :return: empty: it can't plug any
    """
    try:
        found = await session.execute("query-hotpluggable-cpus")
    except RefusedError:
        return []
    places = [
        Place(each["type"], each["props"], each.get("qom-path"))
        for each in found
    ]
    # Sockets before cores before threads: in the order of a start.
    levels = ("socket-id", "die-id", "cluster-id", "core-id", "thread-id")
    return sorted(
        places, key=lambda each: [each.props.get(key, 0) for key in levels]
    )


def changes_of(
    vm: VM, places: Sequence[Place], number: int, timeout_s: float
) -> list[Change]:
    """Work out which CPUs come, or go.  Pure.

    :param timeout_s: for each that goes
    :raise StateError: there is no room for them, or nobody to ask
    """
    if not places:
        raise StateError(
            f"the machine of '{vm.name}' takes no CPUs while it runs",
            hint=sizes.LATER,
        )
    if number > len(places):
        raise StateError(
            f"'{vm.name}' was started with room for {_cpus(len(places))}, "
            f"not for {number}",
            hint=f"'qemu cpu set {vm.name} {number} --next-start' makes room "
            "at the next start",
        )
    cpus = plugged(places)
    count = len([each for each in places if each.path])
    if number < count - len(cpus):
        raise StateError(
            f"'{vm.name}' was started with {_cpus(count - len(cpus))}, and "
            "can lose only what was plugged in since",
            hint=sizes.LATER,
        )
    if number < count:
        sizes.check_asks(vm, "a CPU")
        return [
            Change(Unplug(cpus[left].id, timeout_s), cpus[:left])
            for left in reversed(range(number - count + len(cpus), len(cpus)))
        ]
    changes = []
    for index, each in enumerate(places):
        if not each.path and count < number:
            cpu = Cpu(id=f"cpu{index}", driver=each.driver, place=each.props)
            cpus, count = (*cpus, cpu), count + 1
            plug = {"driver": cpu.driver, "id": cpu.id, **cpu.place}
            changes.append(Change(Plug(plug), cpus))
    return changes


def plugged(places: Sequence[Place]) -> tuple[Cpu, ...]:
    """Those that were not there at the start."""
    return tuple(
        Cpu(id=each.id, driver=each.driver, place=each.props)
        for each in places
        if each.id
    )


def _plans(
    host: Host,
    vm: VM,
    places: Sequence[Place],
    number: int,
    timeout_s: float,
) -> Iterator[Plan]:
    """One for each CPU, made when the former one has been carried out."""
    paths = vm.paths
    started = len([each for each in places if each.path and not each.id])
    title = f"{_ACTION} {paths.name}"
    changes = changes_of(vm, places, number, timeout_s)
    for step, cpus in changes:
        define = edit.edit(host, paths, _put(started, cpus)).step
        if isinstance(step, Plug):
            yield Plan(f"{title} {cpus[-1].id}", (define, step))
        else:  # what the guest has let go of, it does not get back
            yield Plan(f"{title} {step.id}", (step, define), 1)
    if not changes and vm.definition.cpu_count != number:
        put = _put(started, plugged(places))
        yield Plan(title, (edit.edit(host, paths, put).step,))


def _put(number: int, cpus: Sequence[Cpu]) -> Callable[[Any], None]:
    """What writes CPUs down, and makes room for them."""

    def change_it(document: Any) -> None:
        machine = document["machine"]
        machine["cpus"] = number
        machine["max_cpus"] = max(machine["max_cpus"], number)
        document.pop("cpus", None)
        for cpu in cpus:
            entry = msgspec.to_builtins(cpu)
            entry["place"] = tomlkit.inline_table()
            entry["place"].update(cpu.place)
            edit.append(document, "cpus", entry)

    return change_it


def _cpus(number: int) -> str:
    return "1 CPU" if number == 1 else f"{number} CPUs"
