"""From what the user typed to VMs: the only way in.

A bare name is an instance's, or else that of a VM that somebody else
started: one that ``qemu join`` gave it, or else its own.  Exact forms are
``pid:N``, ``qmp:ADDRESS`` (of a monitor, as the VM's command line or this
host has it) and ``ORIGIN:NAME``.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from qemu_cli.errors import NotFoundError, UsageError
from qemu_cli.instance import vm as vms
from qemu_cli.instance.host import Host
from qemu_cli.instance.looking import Probe, look
from qemu_cli.instance.vm import VM
from qemu_cli.paths import Paths
from qemu_cli.proc import ProcFS
from qemu_cli.suggest import did_you_mean

_GLOB = frozenset("*?[")

#: Finds the VMs that somebody else started.
Strangers = Callable[[ProcFS], list[VM]]


def select(
    paths: Paths,
    references: Sequence[str],
    *,
    probe: Probe,
    every: bool = False,
    states: Collection[str] = (),
    strangers: Strangers | None = None,
) -> list[VM]:
    """Find the VMs that are meant and look at them.

    :param references: names and globs; the order is kept
    :param every: all, whatever ``references`` says
    :param states: only those in one of these states
    :param strangers: finds the VMs that somebody else started; None: they
        are not meant
    :raise NotFoundError: a name does not exist, is that of several VMs,
        or a glob matches nothing
    :raise UsageError: there is no such state
    """
    for state in states:
        if state not in vms.STATES:
            raise UsageError(
                f"there is no state '{state}'",
                hint=f"the states are {', '.join(vms.STATES)}",
            )
    known = vms.names(paths)
    procfs = ProcFS()

    def others() -> list[VM]:
        return strangers(procfs) if strangers else []

    def everyone() -> Iterator[str | VM]:
        yield from known
        yield from others()  # while ours make their answers

    wanted: Iterable[str | VM] = everyone()
    if not every:
        wanted = _match(paths, references, known, others)
    found = look(paths, wanted, procfs, probe)
    return [vm for vm in found if not states or vm.state in states]


def resolve(
    paths: Paths, reference: str, *, probe: Probe, why: str = "definition"
) -> VM:
    """Find one instance.

    :param why: only instances will do; a word of ``refusal.WHY``
    :raise NotFoundError: there is none
    :raise StateError: it is a VM that somebody else started
    """
    known = vms.names(paths)
    procfs = ProcFS()

    def others() -> list[VM]:
        from qemu_cli.instance.discovery.strangers import strangers

        return strangers(paths, procfs)

    [wanted] = _match(paths, [reference], known, others)
    if isinstance(wanted, VM):
        raise vms.no_instance(wanted, why)
    return look(paths, [wanted], procfs, probe)[0]


def anyone(host: Host, reference: str, *, ask: bool = True) -> VM:
    """Find one VM, whoever started it.

    :param ask: False: one of somebody else's is not connected to
    :raise NotFoundError: there is none, or several have that name
    """
    known = vms.names(host.paths)
    procfs = ProcFS()
    [wanted] = _match(
        host.paths, [reference], known, lambda: host.strangers(procfs)
    )
    if isinstance(wanted, VM) and not ask:
        return wanted
    return look(host.paths, [wanted], procfs, host.probe)[0]


def _match(
    paths: Paths,
    references: Sequence[str],
    known: Sequence[str],
    strangers: Callable[[], list[VM]],
) -> list[str | VM]:
    """Turn references into instances' names and others' VMs, each once."""
    wanted: dict[object, str | VM] = {}
    others: list[VM] | None = None
    for reference in references:
        if reference in known:
            wanted[reference] = reference
        elif _GLOB & set(reference) and ":" not in reference:
            import fnmatch

            matches = fnmatch.filter(known, reference)
            if not matches:
                raise NotFoundError(f"no instance matches '{reference}'")
            wanted |= zip(matches, matches, strict=True)
        else:
            others = strangers() if others is None else others
            found = _one(paths, reference, known, others)
            key = found.reference if isinstance(found, VM) else found
            wanted[key] = found
    return list(wanted.values())


def _one(
    paths: Paths, reference: str, known: Sequence[str], others: Sequence[VM]
) -> str | VM:
    """Find what is no instance's name."""
    form, colon, rest = reference.partition(":")
    if colon and form == "pid":
        return _by_pid(paths, rest, known, others)
    if colon and form == "qmp":
        from qemu_cli.instance.discovery import strangers

        return strangers.at(paths, rest, others)
    if colon and form == "ours" and rest in known:
        return rest
    # A name that we gave it wins over what others call themselves.
    found = [vm for vm in others if vm.joined and vm.name == reference] or [
        vm for vm in others if reference in _own_names(vm)
    ]
    if not found:
        raise _unknown(reference, [*known, *(vm.name for vm in others)])
    if len(found) > 1:
        forms = ", ".join(
            f"{vm.reference} ({vm.origin}:{vm.name})" for vm in found
        )
        raise NotFoundError(
            f"{len(found)} VMs are called '{reference}'",
            hint=f"say which: {forms}",
        )
    return found[0]


def _own_names(vm: VM) -> tuple[str, str]:
    own = vm.foreign.name if vm.foreign else vm.name
    return own, f"{vm.origin}:{own}"


def _by_pid(
    paths: Paths, digits: str, known: Sequence[str], others: Sequence[VM]
) -> str | VM:
    for vm in others:
        if vm.reference == f"pid:{digits}":
            return vm
    process = ProcFS().process(int(digits)) if digits.isdecimal() else None
    name = vms.instance_of(paths, process) if process else None
    if name is None or name not in known:
        raise NotFoundError(
            f"there is no QEMU with the pid {digits}",
            hint="'qemu list --columns name,pid' shows all",
        )
    return name


def _unknown(reference: str, known: Sequence[str]) -> NotFoundError:
    return NotFoundError(
        f"there is no VM '{reference}'",
        hint=did_you_mean(reference, known) or "'qemu list' shows all",
    )
