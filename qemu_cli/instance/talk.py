"""Commands of the user's own to a VM's monitor."""

import json
import shlex
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple

from qemu_cli.errors import ConnectionLostError, StateError, UsageError
from qemu_cli.instance.host import Host
from qemu_cli.instance.vm import VM
from qemu_cli.qmp import arguments

#: Nothing that QEMU could say follows the reply to it.
LAST = "quit"


class Order(NamedTuple):
    """A command as it came, not checked yet."""

    command: str
    given: Mapping[str, Any]


def order(command: str, given: Any) -> Order:
    """Put a command and its arguments together.

    :param given: the actions alone will do for a transaction
    :raise UsageError: they are no object
    """
    if isinstance(given, list) and command == "transaction":
        given = {"actions": given}
    if not isinstance(given, Mapping):
        raise UsageError(f"the arguments of {command} must be an object")
    return Order(command, given)


def order_of_line(line: str) -> Order:
    """Read ``COMMAND key=value …``, or ``{"execute": …}`` (qmp-spec).

    :raise UsageError: it is neither
    """
    text = line.strip()
    if not text.startswith("{"):
        try:
            command, *words = shlex.split(text)
        except ValueError as error:
            raise UsageError(f"{text}: {error}") from error
        return order(command, arguments.from_words(words))
    try:
        message = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{text} is not JSON: {error}") from error
    if not isinstance(message.get("execute"), str):
        raise UsageError(f'{text} has no "execute"')
    return order(message["execute"], message.get("arguments", {}))


async def send(
    host: Host, vm: VM, orders: Sequence[Order]
) -> AsyncIterator[Any]:
    """Check all commands, then send one after the other; yield replies.

    :raise UsageError: one can't be sent; none was then
    :raise RefusedError: QEMU refused one, and no more were sent
    """
    check_runs(vm)
    async with (
        host.sessions.open(vm.monitors) as session,
        session.exchange(),
    ):
        known = await host.schema(vm, session)
        ready = [
            (each.command, arguments.check(known, each.command, each.given))
            for each in orders
        ]
        for command, checked in ready:
            try:
                # A snapshot or a dump takes as long as it takes.
                yield await session.execute(command, checked, timeout_s=None)
            except ConnectionLostError:
                if command != LAST:
                    raise


async def human(host: Host, vm: VM, line: str) -> str:
    """Send a command of the human monitor; return its text.

    :raise RefusedError: the text is an error message
    """
    check_runs(vm)
    async with host.sessions.open(vm.monitors) as session:
        return await session.human(line)


def check_runs(vm: VM) -> None:
    """Refuse to talk to what is not there.

    :raise StateError: the VM has no process
    """
    if not vm.alive:
        raise StateError(
            f"'{vm.name}' does not run: it is {vm.state}",
            hint=f"'qemu start {vm.name}' starts it",
        )
