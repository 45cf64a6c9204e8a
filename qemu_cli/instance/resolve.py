"""From what the user typed to VMs: the only way in."""

from collections.abc import Collection, Sequence

from qemu_cli.errors import NotFoundError, UsageError
from qemu_cli.instance import vm as vms
from qemu_cli.instance.vm import VM, Probe
from qemu_cli.paths import Paths
from qemu_cli.proc import ProcFS
from qemu_cli.suggest import did_you_mean

_GLOB = frozenset("*?[")


def select(
    paths: Paths,
    references: Sequence[str],
    *,
    probe: Probe,
    every: bool = False,
    states: Collection[str] = (),
) -> list[VM]:
    """Find the VMs that are meant and look at them.

    :param references: names and globs; the order is kept
    :param every: all instances, whatever ``references`` says
    :param states: only those in one of these states
    :raise NotFoundError: a name does not exist, or a glob matches nothing
    :raise UsageError: there is no such state
    """
    for state in states:
        if state not in vms.STATES:
            raise UsageError(
                f"there is no state '{state}'",
                hint=f"the states are {', '.join(vms.STATES)}",
            )
    known = vms.names(paths)
    wanted = known if every else _match(references, known)
    found = vms.look(paths, wanted, ProcFS(), probe)
    return [vm for vm in found if not states or vm.state in states]


def resolve(paths: Paths, reference: str, *, probe: Probe) -> VM:
    """Find one VM by its exact name.

    :raise NotFoundError: there is none
    """
    if reference not in vms.names(paths):
        raise _unknown(reference, vms.names(paths))
    return vms.look(paths, [reference], ProcFS(), probe)[0]


def _match(references: Sequence[str], known: Sequence[str]) -> list[str]:
    wanted: dict[str, None] = {}
    for reference in references:
        if reference in known:
            wanted[reference] = None
        elif _GLOB & set(reference):
            import fnmatch

            matches = fnmatch.filter(known, reference)
            if not matches:
                raise NotFoundError(f"no instance matches '{reference}'")
            wanted |= dict.fromkeys(matches)
        else:
            raise _unknown(reference, known)
    return list(wanted)


def _unknown(reference: str, known: Sequence[str]) -> NotFoundError:
    return NotFoundError(
        f"there is no instance '{reference}'",
        hint=did_you_mean(reference, known) or "'qemu list' shows all",
    )
