"""A clone is a machine of its own: cloud-init is to see that."""

from qemu_cli.errors import QemuCliError
from qemu_cli.hookspecs import VMFacts, hookimpl


@hookimpl
def qemu_cli_cloned(vm: VMFacts) -> None:
    """Give the clone's seed its own instance-id and name."""
    from qemu_cli_guest.seed import FILE

    file = vm.directory / FILE
    if not file.exists():
        return
    from qemu_cli.files import write_atomically
    from qemu_cli_guest.seed import data, iso
    from qemu_cli_guest.seed.options import hostname

    try:
        files = iso.read(file.read_bytes())
        known = data.check_mapping(files["meta-data"], "meta-data")
    except (KeyError, QemuCliError) as error:
        raise QemuCliError(f"{file}: {error}") from None
    meta = data.meta_data(known, vm.uuid, hostname(vm.name))
    content = iso.write({**files, "meta-data": meta})
    write_atomically(file, content, mode=0o600)
