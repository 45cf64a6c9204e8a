"""Where QEMU puts PCI devices when nobody says it.  Pure.

Each gets the first number that is free, in the order in which they are
made: the board's own, then ``-device`` as it stands there, then what
``-drive if=virtio`` asks for (hw/pci/pci.c, do_pci_register_device).  This
is for machines that can't be asked; it says nothing when it is not sure.
"""

import re
from collections.abc import Sequence

from qemu_cli.instance.capture.drives import drives, family
from qemu_cli.instance.capture.live import Device
from qemu_cli.instance.capture.words import Option

#: The root bus, and the numbers that the board takes for itself.
_BOARDS = {
    "pc": ("pci.0", frozenset({0, 1})),
    "q35": ("pcie.0", frozenset({0, 0x1F})),
    "virt": ("pcie.0", frozenset({0})),
}
_NUMBERS = 32

_PCI = re.compile(
    r"virtio-.*-pci(-(non-)?transitional)?|vhost-.*-pci"
    r"|virtio-(blk|net|rng|balloon|serial|scsi|gpu|keyboard|mouse|tablet|9p)"
    r"|virtio-(vga|gpu-gl|gpu)(-gl)?|VGA|secondary-vga|bochs-display"
    r"|cirrus-vga|qxl|qxl-vga|vmware-svga|ati-vga"
    r"|e1000.*|rtl8139|pcnet|ne2k_pci|vmxnet3|i82\w+|igb"
    r"|nvme|(ich9-)?ahci|lsi.*|megasas.*|mptsas1068|pvscsi|am53c974"
    r"|(qemu|nec-usb)-xhci|usb-ehci|pci-ohci|piix\d-usb-uhci|ich9-usb-\w+"
    r"|(ich9-)?intel-hda|AC97|ES1370|pcie-root-port|ioh3420|pci-bridge"
    r"|pcie-pci-bridge|i6300esb|edu|pci-serial\w*|pci-testdev"
    r"|ivshmem-(plain|doorbell)|vfio-pci|pvpanic-pci|sdhci-pci"
)
_NO_PCI = re.compile(
    r"(scsi|ide)-(hd|cd|block|generic)|usb-.*|isa-.*|virtserialport"
    r"|virtconsole|hda-.*|pc-dimm|nvdimm|floppy|nvme-ns|.*-cpu|pvpanic"
    r"|virtio-.*-device|loader|ccid-.*|tpm-.*|vmcoreinfo|smbus-.*|ramfb"
    r"|vmgenid|generic-loader|sd-card|u2f-.*"
)


def places(options: Sequence[Option], machine: str) -> dict[int, Device]:
    """Work out the place of each device, by the number of its option.

    :return: none at all where it can't be told
    """
    board = family(machine)
    if board not in _BOARDS:
        return {}
    root, fixed = _BOARDS[board]
    taken = set(fixed)
    for _ in range(_onboard(options, board)):
        taken.add(_first_free(taken))
    found: dict[int, Device] = {}
    for option in options:
        if option.name != "device":
            continue
        keys = dict(option.pairs)
        driver = keys.get("driver", "")
        if _NO_PCI.fullmatch(driver):
            continue
        if not _PCI.fullmatch(driver):
            return {}
        if keys.get("bus", root) != root:
            continue  # alone behind a port, or said anyway
        number, function = _address(keys.get("addr", ""), taken)
        taken.add(number)
        found[option.number] = Device(
            "", "", driver, root, {"addr": number << 3 | function}
        )
    for drive in drives(options, machine):
        if drive.interface == "virtio":
            number = _first_free(taken)
            taken.add(number)
            found[drive.option.number] = Device(
                "", "", "virtio-blk-pci", root, {"addr": number << 3}
            )
    return found


def _onboard(options: Sequence[Option], board: str) -> int:
    """Count the board's own screen and NICs, which come first."""
    from qemu_cli.instance.capture.ports import is_screen

    names = {option.name for option in options}
    has_defaults = "nodefaults" not in names
    screens = [option.value for option in options if option.name == "vga"]
    if not screens and has_defaults and board != "virt":
        drivers = [
            option.get("driver")
            for option in options
            if option.name == "device"
        ]
        screens = [] if any(map(is_screen, drivers)) else ["std"]
    count = sum(screen not in ("none", None) for screen in screens[-1:])
    cards = sum(
        (option.name == "nic" and option.value != "none")
        or (option.name == "net" and option.get("type") == "nic")
        for option in options
    )
    if has_defaults and not names & {"net", "nic", "netdev"}:
        cards = 1
    return count + cards


def _first_free(taken: set[int]) -> int:
    return next(n for n in range(_NUMBERS + 1) if n not in taken)


def _address(text: str, taken: set[int]) -> tuple[int, int]:
    """Read ``0x5.1``: hex in either case; nothing is the first free."""
    if not text:
        return _first_free(taken), 0
    number, _, function = text.partition(".")
    return int(number, 16), int(function or "0", 16)
