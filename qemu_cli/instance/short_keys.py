"""The short words of ``qemu set``; also for its help, which is cheap."""

#: Short words and what they mean; ``list`` is for += and -= as well.
SHORT = {
    "memory": "machine.memory_mib, as in 2G",
    "cpus": "machine.cpus",
    "cpu": "machine.cpu",
    "accel": "machine.accel",
    "kernel": "boot.kernel",
    "initrd": "boot.initrd",
    "append": "boot.append",
    "cdrom": "the file in the first CD drive; empty: none",
    "forward": "a list: forward+=2222:22, forward-=22",
    "qemu-arg": "a list: qemu-arg+=-d, qemu-arg-=-d",
}
