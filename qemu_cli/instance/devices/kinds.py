"""What a device is, in a word, by the name of its driver.  Pure."""

import re

#: The first that matches counts.
_KINDS = (
    (r"virtio-blk.*|scsi-(hd|block|disk)|ide-hd|nvme|usb-storage", "disk"),
    (r"scsi-cd|ide-cd", "cdrom"),
    (r"vhost-user-blk.*|nvme-ns|usb-(uas|bot)|floppy|sd-card", "disk"),
    (
        r"virtio-net.*|e1000.*|rtl8139|vmxnet3|ne2k.*|pcnet|tulip|usb-net"
        r"|i82\d{3}[a-z]*",
        "nic",
    ),
    (r"pcie-root-port|ioh3420|x?io?3130.*|cxl-rp", "port"),
    (r".*xhci|.*ehci.*|.*uhci.*|.*ohci", "usb controller"),
    (r"usb-hub", "usb hub"),
    (r"usb-host", "usb of the host"),
    (
        r"(usb|virtio)-(tablet|kbd|keyboard|mouse|wacom-tablet)(-.*)?",
        "input",
    ),
    (r"pc-dimm|nvdimm|virtio-mem.*|virtio-pmem.*", "memory"),
    (r".*-cpu", "cpu"),
    (r"virtio-balloon.*", "balloon"),
    (r"virtio-rng.*", "random numbers"),
    (r"virtio-scsi.*|megasas.*|lsi.*|pvscsi|mptsas.*|.*ahci", "controller"),
    (r"virtio-serial.*", "serial controller"),
    (r"virtserialport|virtconsole|.*-serial(-.*)?", "serial"),
    (r".*vga.*|.*gpu.*|qxl.*|bochs-display|ramfb", "screen"),
    (r".*-hda|hda-.*|AC97|ES1370|virtio-sound.*|usb-audio", "sound"),
    (r"tpm-.*", "tpm"),
    (r"pvpanic.*", "panic notifier"),
    (r"vfio-.*", "device of the host"),
    (r".*bridge.*|pxb.*", "bridge"),
    (r"virtio-9p.*|vhost-user-fs.*", "shared directory"),
    (r"vhost-vsock.*", "vsock"),
    (r"i6300esb|ib700|diag288", "watchdog"),
)


def kind_of(driver: str) -> str:
    """Name what a device is; ``other`` if nobody knows."""
    for pattern, kind in _KINDS:
        if re.fullmatch(pattern, driver):
            return kind
    return "other"
