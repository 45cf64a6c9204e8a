"""What a definition must not say, though each word of it is well-typed."""

from typing import Any

from qemu_cli.instance.model import Definition

#: Places that any number of devices can have: QEMU finds each its own.
_SHARED = frozenset({"mmio", "auto"})


def inconsistencies(definition: Definition) -> list[str]:
    """Name what is well-typed but can't be: doubled ids, places, ports."""
    problems = []
    devices = definition.placed
    for what, values in (
        (
            "id",
            [
                each.id
                for each in (*devices, *definition.cpus, *definition.dimms)
            ],
        ),
        ("slot", [d.slot for d in devices if d.slot not in _SHARED]),
        ("MAC", [nic.mac for nic in definition.nics]),
        ("tag", [share.tag for share in definition.shares]),
    ):
        problems += [
            f"the {what} '{value}' is used twice" for value in _twice(values)
        ]
    ports = [(f.protocol, f.host_port) for f in definition.forwards]
    problems += [
        f"the host port {port}/{protocol} is forwarded twice"
        for protocol, port in _twice(ports)
    ]
    machine = definition.machine
    if machine.max_cpus < definition.cpu_count:
        problems.append("machine.max_cpus is less than machine.cpus")
    if machine.max_memory_mib and machine.max_memory_mib < machine.memory_mib:
        problems.append("machine.max_memory_mib is less than memory_mib")
    problems += _dimms(definition)
    if definition.firmware.kind == "uefi" and not definition.firmware.code:
        problems.append("firmware.code is missing: UEFI needs its code file")
    problems += [
        f"the disk {disk.id} is limited as a whole, and for reading or "
        f"writing alone, too: {kind}"
        for disk in definition.disks
        for kind in (disk.throttle.mixed if disk.throttle else ())
    ]
    problems += [
        f"the NIC {nic.id} has backend bridge but names no bridge"
        for nic in definition.nics
        if nic.backend == "bridge" and not nic.bridge
    ]
    return problems


def _dimms(definition: Definition) -> list[str]:
    machine, dimms = definition.machine, definition.dimms
    problems = [
        f"the slot {slot} has two DIMMs"
        for slot in _twice([dimm.slot for dimm in dimms])
    ]
    if any(dimm.slot >= machine.memory_slots for dimm in dimms):
        problems.append("machine.memory_slots are too few for the DIMMs")
    if dimms and definition.memory_mib > machine.max_memory_mib:
        problems.append("machine.max_memory_mib is less than all memory")
    return problems


def _twice(values: list[Any]) -> list[Any]:
    return sorted({value for value in values if values.count(value) > 1})
