"""Does what is asked for make sense?  Before anything is looked at."""

from collections.abc import Sequence

from qemu_cli.errors import StateError, UsageError
from qemu_cli.instance.exports.model import Export, Wanted
from qemu_cli.instance.vm import VM

#: The longest string that the NBD protocol has room for (NBD_MAX_STRING).
_NAME_MAX = 4096

#: Kinds that have a file for what is written meanwhile.
_WITH_SCRATCH = frozenset({"pit", "scratch"})


def check_sense(vm: VM, wanted: Wanted) -> None:
    """Refuse what can't be combined.

    :raise UsageError: says what
    :raise StateError: it can't be while the VM runs
    """
    if wanted.name is not None:
        _check_name(wanted.name)
    if wanted.depth < 1:
        raise UsageError("a backing file is 1 or more layers down")
    if wanted.kind not in _WITH_SCRATCH:
        for given, option in (
            (wanted.scratch_bytes, "--scratch-size"),
            (wanted.quiesce or None, "--quiesce"),
        ):
            if given is not None:
                raise UsageError(f"{option} is for a point in time only")
    if vm.foreign:
        _check_stranger(vm, wanted)
    if not vm.alive:
        return
    if wanted.kind == "writable":
        raise StateError(
            f"'{vm.name}' runs: its guest would not notice what others write "
            "to its disks",
            hint="--scratch takes writes, and throws them away; or shut it "
            "down first",
        )
    if wanted.bitmap is not None and wanted.kind not in _WITH_SCRATCH:
        raise UsageError(
            "--bitmap is for a point in time: it tells what had changed then"
        )


def _check_stranger(vm: VM, wanted: Wanted) -> None:
    """Refuse what only a definition, or the VM's own end, could clear up."""
    if vm.process is None:
        raise StateError(
            f"the process of '{vm.name}' is not on this host, and so its "
            "disks are not either"
        )
    for given, option, instead in (
        (
            wanted.kind == "snapshot",
            "--snapshot",
            "'qemu-img convert -l' reads a snapshot while the VM is off",
        ),
        (
            wanted.listen is not None,
            "--listen",
            "the unix socket is for clients on this host, such as a "
            "'qemu-nbd' or 'nbdkit nbd' that serves others",
        ),
    ):
        if given:
            raise StateError(
                f"{option} is for instances of yours, and '{vm.name}' is none",
                hint=instead,
            )


def check_names(
    vm: VM, wanted: Wanted, known: Sequence[Export], disks: Sequence[str]
) -> None:
    """See that each export can have its name.

    :param known: what is served of the VM already
    :raise UsageError: one name for several
    :raise StateError: something else has the name
    """
    if wanted.name is not None and len(disks) > 1:
        raise UsageError(
            f"--name is for one disk; '{vm.name}' has {', '.join(disks)}",
            hint="name the disk that is meant",
        )
    used = {export.name for export in known}
    for disk in disks:
        name = wanted.name or disk
        if name in used:
            raise StateError(
                f"'{vm.name}' is exporting '{name}' already",
                hint="give this one another name: --name; or end that one: "
                f"qemu export stop {vm.name} {name}",
            )


def _check_name(name: str) -> None:
    if not name or not name.isprintable():
        raise UsageError("the name of an export is one line, and not empty")
    if len(name.encode()) > _NAME_MAX:
        raise UsageError(
            f"the name of an export has at most {_NAME_MAX} bytes"
        )
