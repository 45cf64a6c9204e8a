"""Monitors, serial ports and other character devices.  Pure.

What is behind them on the host's side stays with the old process: sockets
of its would be taken from it, files overwritten.  The first serial port
and the guest agent's get ours (see ``argv.build``), the others nothing.
"""

from qemu_cli.instance.capture.draft import Draft
from qemu_cli.instance.capture.words import Option, with_pairs

#: Chardevs that a guest's device can have without anybody outside.
_INERT = frozenset({"null", "ringbuf", "memory", "testdev", "msmouse"})

_AGENT = "org.qemu.guest_agent.0"
_MONITORS = ("mon", "qmp", "qmp-pretty", "monitor")
_OURS = "an instance has monitors of its own"


def ports(draft: Draft) -> None:
    """Decide about all that is, or has, a character device."""
    # Those that nothing else uses go with the monitors.
    monitors = {option.get("chardev") for option in draft.left("mon")} | {
        (option.value or "").removeprefix("chardev:")
        for option in draft.left("qmp", "qmp-pretty", "monitor")
    }
    for option in draft.left(*_MONITORS):
        draft.drop(option, _OURS)
    ours = _serial(draft)
    agent = _agent(draft)
    for option in draft.left("chardev"):
        name = option.get("id")
        if name in ours:
            draft.drop(option, "the first serial port has a socket of ours")
        elif name in agent:
            draft.drop(option, "the guest agent has a socket of ours")
        elif name in monitors and not _used(draft, name):
            draft.drop(option, _OURS)
        elif option.get("backend") in _INERT:
            draft.keep(option)
        else:
            draft.change(
                option,
                ("-chardev", f"null,id={name.replace(',', ',,')}"),
                "what is behind it on the host stays with the old process",
            )


def _serial(draft: Draft) -> set[str]:
    """Give the first port our socket; returns what it had before."""
    names = set()
    options = list(draft.left("serial"))
    for number, option in enumerate(options):
        value = (option.value or "").removeprefix("mon:")
        if value == "none":
            draft.keep(option)
        elif number == 0:
            names |= {value[8:]} if value.startswith("chardev:") else set()
            draft.change(
                option,
                ("-serial", "chardev:serial0"),
                "'qemu console' and 'qemu log --serial' have it now",
            )
        elif value == "null" or value.startswith("chardev:"):
            draft.keep(option)
        else:
            draft.change(
                option,
                ("-serial", "null"),
                "what is behind it on the host stays with the old process",
            )
    for option in draft.left("parallel", "debugcon", "virtioconsole"):
        if option.value in ("none", "null"):
            draft.keep(option)
        else:
            draft.change(
                option,
                (f"-{option.name}", "null"),
                "what is behind it on the host stays with the old process",
            )
    if any(option.value != "none" for option in options):
        return names
    for option in draft.left("device"):
        driver, index = option.get("driver"), option.get("index", "0")
        if driver in ("isa-serial", "pl011") and index == "0":
            names.add(option.get("chardev"))
            _point(draft, option, "serial0")
            break
    return names


def _agent(draft: Draft) -> set[str]:
    for option in draft.left("device"):
        if option.get("driver") == "virtserialport" and (
            option.get("name") == _AGENT
        ):
            _point(draft, option, "agent0")
            return {option.get("chardev")}
    return set()


def _point(draft: Draft, option: Option, chardev: str) -> None:
    """Give a device another chardev; others decide the rest of it."""
    value = with_pairs(option, [("chardev", chardev)])
    draft.options[option.number] = option._replace(value=value)


def _used(draft: Draft, chardev: str) -> bool:
    return any(
        option.get("chardev") == chardev
        or option.value == f"chardev:{chardev}"
        for option in draft.options
        if option.name not in _MONITORS and option.name != "chardev"
    )


def defaults(draft: Draft, machine: str) -> None:
    """Say what a PC has without being told, as ``-nodefaults`` ends it.

    See system/vl.c, qemu_create_default_devices.
    """
    if draft.has("nodefaults"):
        return
    if not machine.startswith(("pc-", "pc", "q35")):
        draft.differs(
            "what QEMU adds without being told",
            f"it is not known what that is on a {machine}; it is left out",
        )
        return
    devices = [option.get("driver") for option in _devices(draft)]
    if not draft.has("serial") and "isa-serial" not in devices:
        draft.add("-serial", "chardev:serial0")
    if not draft.has("parallel", "nographic") and (
        "isa-parallel" not in devices
    ):
        draft.add("-parallel", "null")
    if not (draft.has("vga") or any(map(is_screen, devices))):
        draft.add("-vga", "std")
    if not draft.has("net", "nic", "netdev"):
        model = "e1000e" if "q35" in machine else "e1000"
        draft.add("-nic", f"user,model={model}")
    if "q35" not in machine and not (
        draft.has("fda", "fdb")
        or {"isa-fdc", "floppy"} & set(devices)
        or any(each.get("if") == "floppy" for each in draft.options)
    ):
        draft.add("-drive", "if=floppy,index=0")


def _devices(draft: Draft) -> list[Option]:
    return [option for option in draft.options if option.name == "device"]


def is_screen(driver: str) -> bool:
    """Whether QEMU makes no VGA card beside it."""
    return driver.endswith("VGA") or driver in {
        "virtio-gpu-pci", "virtio-gpu", "virtio-vga", "virtio-vga-gl",
        "virtio-gpu-gl-pci", "qxl-vga", "qxl", "cirrus-vga", "vmware-svga",
        "ati-vga", "isa-vga", "isa-cirrus-vga", "bochs-display", "ramfb",
    }  # fmt: skip
