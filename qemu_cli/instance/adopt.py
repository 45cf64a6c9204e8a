"""Making an instance of a definition that is a file somewhere else."""

from pathlib import Path

from qemu_cli.emulator import binary
from qemu_cli.errors import NotFoundError, StateError, UsageError
from qemu_cli.extensions import pick
from qemu_cli.instance import argv, definitions, history, needs
from qemu_cli.instance.change import claimed, run
from qemu_cli.instance.create import Created, check_free
from qemu_cli.instance.host import Host, vm_facts
from qemu_cli.instance.model import Definition
from qemu_cli.instance.names import check_name
from qemu_cli.paths import InstancePaths
from qemu_cli.steps import MakeDirectory, Plan, WriteFile
from qemu_cli.storage import dependants, tools


async def adopt(
    host: Host, name: str, file: Path, *, dry_run: bool = False
) -> Created:
    """Make an instance; its disks stay where the definition says.

    :raise UsageError: it can't be called so, or a path is not absolute
    :raise DefinitionError: the definition can't be understood
    :raise NotFoundError: it is missing, or a file that it names
    :raise StateError: there is such an instance, or another one needs a
        disk as it is
    """
    paths = host.paths.instance(check_name(name))
    check_free(host, paths)
    if not file.exists():
        raise NotFoundError(f"there is no file {file}")
    definition = definitions.load(file)
    profile = pick("qemu_cli.profiles", definition.profile)()
    qemu = binary.find(definition.arch, host.config)
    argv.build(definition, profile, paths, binary=qemu)  # refuses now
    host.config.for_instance(definition.config, str(file))
    _check_files(definition)
    await _check_disks(host, definition)
    problems = host.hooks.check_definition(vm_facts(paths, definition))
    if problems:
        raise UsageError("; ".join(problems))
    made = _plan(paths, definition)
    if not dry_run:
        async with claimed(host, paths):
            check_free(host, paths)
            await run(host, paths, made)
        history.note(
            paths, "create", command=host.who, definition=str(file.absolute())
        )
        host.hooks.created(vm_facts(paths, definition))
    return Created(definition, made, None)


def _plan(paths: InstancePaths, definition: Definition) -> Plan:
    steps = [MakeDirectory(str(paths.directory))]
    if definition.tpm:
        steps.append(MakeDirectory(str(paths.tpm_state)))
    text = definitions.render(definition)
    return Plan(
        f"create {paths.name}",
        (*steps, WriteFile(str(paths.definition), text)),
    )


def _check_files(definition: Definition) -> None:
    for what, name in definition.files.items():
        if not Path(name).is_absolute():
            raise UsageError(
                f"{what} is '{name}', a path in the directory of an instance "
                "that is not there yet",
                hint="write the whole path into the definition",
            )
        if not Path(name).exists():
            raise NotFoundError(f"{what} is missing: there is no file {name}")


async def _check_disks(host: Host, definition: Definition) -> None:
    """What others are built on, or write to, must not be written."""
    tool = tools.find("qemu-img", host.config)
    files = [
        Path(image.file) for image in definition.images if not image.read_only
    ]
    if not files:
        return
    needed = await needs.everyone(host, tool)
    for file in files:
        if users := dependants.users_of(file, needed):
            raise StateError(
                f"{file} is in use by {', '.join(users)}",
                hint=f"'qemu clone {users[0]} NEW' makes a VM like it",
            )
