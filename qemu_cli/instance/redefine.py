"""Replacing a definition by another: checked, and all or nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from qemu_cli.emulator import abilities, binary
from qemu_cli.errors import (
    DefinitionError,
    NotFoundError,
    QemuCliError,
    StateError,
    UsageError,
)
from qemu_cli.extensions import pick
from qemu_cli.files import write_atomically
from qemu_cli.instance import (
    argv,
    change,
    definitions,
    history,
    keys,
    ports,
    saved,
)
from qemu_cli.instance.create import taken_ports
from qemu_cli.instance.host import Host, vm_facts
from qemu_cli.instance.keys import Assignment
from qemu_cli.instance.model import Definition
from qemu_cli.instance.vm import VM
from qemu_cli.instance.wish import ForwardWish
from qemu_cli.paths import InstancePaths

#: Asks the user; raises when the answer is no.
Confirm = Callable[[str], None]


class Redefined(NamedTuple):
    """What has changed.

    :param changes: the old and the new value of each key; None: what was
        there before could not be understood
    :param waits: whether it counts from the next start on only
    """

    changes: dict[str, tuple[Any, Any]] | None
    waits: bool


async def assign(
    host: Host,
    vm: VM,
    assignments: list[Assignment],
    *,
    confirm: Confirm,
    dry_run: bool = False,
) -> Redefined:
    """Change some keys of a definition.

    :param dry_run: check and compare, but write nothing
    :raise UsageError: there is no such key, or it can't have this value
    :raise DefinitionError: the definition as it is can't be understood
    """
    paths = vm.paths
    async with change.changing(host, paths) as now:
        text = keys.apply(
            definitions.read(paths.definition),
            assignments,
            source=str(paths.definition),
            choose_port=_port_chooser(host),
        )
        try:
            after = definitions.parse(text, source=str(paths.definition))
        except DefinitionError as error:
            where = f"{paths.definition}: "
            raise UsageError(str(error).removeprefix(where)) from error
        return await _replace(
            host, now, text, after, "set", confirm=confirm, dry_run=dry_run
        )


async def replace(
    host: Host, vm: VM, before: str, text: str, *, confirm: Confirm
) -> Redefined:
    """Replace the text of a definition.

    :param before: the text that the new one was made from
    :raise DefinitionError: the new one can't be understood
    :raise StateError: somebody else has changed it meanwhile
    """
    after = definitions.parse(text, source="the new definition")
    async with change.changing(host, vm.paths) as now:
        if definitions.read(vm.paths.definition) != before:
            raise StateError(
                f"{vm.paths.definition} was changed by somebody else meanwhile"
            )
        return await _replace(host, now, text, after, "edit", confirm=confirm)


def draft_is_usable(paths: InstancePaths) -> bool:
    """Whether a text was left that an editor can go on with.

    :raise StateError: there is one, but it was made from another definition
    """
    try:
        written = paths.draft.stat().st_mtime_ns
    except FileNotFoundError:
        return False
    if paths.definition.stat().st_mtime_ns > written:
        raise StateError(
            f"{paths.definition} was changed after your text in {paths.draft}",
            hint="compare the two; 'rm' of your text begins anew, 'touch' "
            "goes on with it",
        )
    return True


async def _replace(
    host: Host,
    vm: VM,
    text: str,
    after: Definition,
    action: str,
    *,
    confirm: Confirm,
    dry_run: bool = False,
) -> Redefined:
    paths = vm.paths
    before = _understood(vm)
    changes = keys.differences(before, after) if before else None
    await check(host, paths, before, after)
    machine_changes = not before or (
        _machine(host, paths, before) != _machine(host, paths, after)
    )
    done = Redefined(changes, waits=vm.alive and machine_changes)
    if dry_run or text == definitions.read(paths.definition):
        return done
    if machine_changes and saved.exists(paths):
        confirm(
            f"throw away the saved state of '{vm.name}', which a changed "
            "machine can't go on from"
        )
        saved.discard(paths)
    if after.tpm:
        paths.tpm_state.mkdir(mode=0o700, exist_ok=True)
    write_atomically(paths.definition, text)
    history.note(paths, action, command=host.who, changes=changes)
    return done


def _understood(vm: VM) -> Definition | None:
    try:
        return vm.definition
    except QemuCliError:
        return None


def _machine(
    host: Host, paths: InstancePaths, definition: Definition
) -> list[str]:
    """The command line, as far as it makes the machine.

    :raise UsageError: the profile does not have what is asked for
    """
    profile = pick("qemu_cli.profiles", definition.profile)()
    extra = host.hooks.add_arguments(vm_facts(paths, definition))
    words = argv.build(
        definition, profile, paths, binary=Path("qemu"), extra=extra
    )
    return saved.comparable(words)


async def check(
    host: Host,
    paths: InstancePaths,
    before: Definition | None,
    after: Definition,
) -> None:
    """Refuse what is well-formed, but can't work on this host.

    :raise QemuCliError: the first thing that is wrong
    """
    host.config.for_instance(after.config, "[config]")
    problems = host.hooks.check_definition(vm_facts(paths, after))
    if problems:
        raise UsageError("; ".join(problems))
    known = before.files.values() if before else ()
    for what, file in after.files.items():
        if file not in known and not (paths.directory / file).exists():
            raise NotFoundError(f"{what}: there is no file {file}")
    if before is None or before.forwards != after.forwards:
        taken = taken_ports(host)
        for forward in after.forwards:
            port = forward.protocol, forward.host_port
            owner = taken.get(port, paths.name)
            if owner != paths.name:
                raise StateError(
                    f"the host port {forward.host_port} belongs to instance "
                    f"'{owner}'"
                )
    if before is None or before.machine != after.machine:
        qemu = binary.find(after.arch, host.config)
        facts = await abilities.load(qemu, host.paths)
        facts.check_cpu(after.machine.cpu)
        most = facts.machine(after.machine.type).cpus_max
        if after.machine.max_cpus > most:
            raise UsageError(
                f"{after.machine.type} has at most {most} CPUs, not "
                f"{after.machine.max_cpus}"
            )


def _port_chooser(host: Host) -> keys.ChoosePort:
    chosen = {number for _, number in taken_ports(host)}

    def choose(wish: ForwardWish) -> int:
        port = ports.choose(
            wish.host_address, chosen, udp=wish.protocol == "udp"
        )
        chosen.add(port)
        return port

    return choose
