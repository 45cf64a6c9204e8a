"""QEMU, its tools, its firmware, and whether KVM really works."""

from qemu_cli.emulator import abilities, accel, binary, firmware
from qemu_cli.errors import QemuCliError
from qemu_cli.instance.doctor.check import Check, fail, ok, warn
from qemu_cli.instance.host import Host
from qemu_cli.steps import run_tool
from qemu_cli.storage import tools as storage_tools


async def emulators(host: Host) -> list[Check]:
    """The QEMU for each architecture; the host's own is a must."""
    found: list[Check] = []
    own = binary.host_arch()
    try:
        binary.find(own, host.config)
    except QemuCliError as error:
        found.append(fail(f"qemu {own}", str(error), error.hint))
    for arch, path in binary.available(host.config).items():
        try:
            facts = await abilities.load(path, host.paths)
        except QemuCliError as error:
            found.append(fail(f"qemu {arch}", str(error), error.hint))
            continue
        version = ".".join(map(str, facts.version))
        package = f" ({facts.package})" if facts.package else ""
        found.append(ok(f"qemu {arch}", f"{path}: {version}{package}"))
    return found


async def kvm(host: Host) -> list[Check]:
    """Boot a tiny guest with KVM and without; not what a flag says."""
    path = binary.find(binary.host_arch(), host.config)
    facts = await abilities.load(path, host.paths)
    decided = await accel.check_kvm(path, facts)
    if decided.name == "kvm":
        return [ok("kvm", decided.reason)]
    detail = f"{decided.reason}; VMs are emulated (TCG)"
    return [warn("kvm", detail, decided.hint)]


async def tools(host: Host) -> list[Check]:
    """qemu-img is a must, swtpm is not."""
    found = []
    for program, needed in (("qemu-img", ""), ("swtpm", "for --tpm")):
        try:
            path = storage_tools.find(program, host.config)
            said = (await run_tool((path, "--version"))).splitlines()
            found.append(ok(program, f"{path}: {said[0] if said else ''}"))
        except QemuCliError as error:
            if needed:
                detail = f"{error}; it is only needed {needed}"
                found.append(warn(program, detail, error.hint))
            else:
                found.append(fail(program, str(error), error.hint))
    return found


async def firmwares(host: Host) -> list[Check]:
    """UEFI for the host's own architecture, without and with Secure Boot."""
    arch = binary.host_arch()
    path = binary.find(arch, host.config)
    facts = await abilities.load(path, host.paths)
    usual = "virt" if arch == "aarch64" else "q35"
    machine = facts.machine(usual).name
    found = []
    for name, secure in (("uefi", False), ("secure boot", True)):
        try:
            one = firmware.find(arch, machine, secure_boot=secure)
            found.append(ok(name, str(one.code)))
        except QemuCliError as error:
            option = "--secure-boot" if secure else "--firmware uefi"
            detail = f"{error}; it is only needed for {option}"
            found.append(warn(name, detail, error.hint))
    return found
