"""The built-in commands: one file for each noun, thin.

:data:`GROUPS` is the order in which ``qemu help`` shows them.
"""

GROUPS: dict[str, tuple[str, ...]] = {
    "Life of a VM": (
        "create",
        "start",
        "run",
        "shutdown",
        "reboot",
        "reset",
        "pause",
        "resume",
        "save",
        "quit",
        "kill",
        "delete",
    ),
    "Look": ("list", "show", "log", "console"),
    "Change": (
        "set",
        "edit",
        "rename",
        "clone",
        "autostart enable",
        "autostart disable",
    ),
    "Snapshots": (
        "snapshot create",
        "snapshot list",
        "snapshot show",
        "snapshot rename",
    ),
    "Disks": (
        "disk list",
        "disk info",
        "disk add",
        "disk remove",
        "disk resize",
        "disk move",
        "disk flatten",
        "disk commit",
    ),
    "Serve disks": ("nbd-export", "export list", "export stop"),
    "Guest": ("guest thaw",),
    "Images": (
        "image create",
        "image info",
        "image convert",
        "image check",
        "image compare",
        "image map",
    ),
    "Talk to QEMU": ("qmp", "hmp"),
    "This program": (
        "config list",
        "config get",
        "config set",
        "config unset",
        "plugin list",
        "doctor",
        "version",
        "help",
    ),
}
