"""The built-in commands: one file for each noun, thin.

:data:`GROUPS` is what ``qemu help`` shows, in its order: the line of each
command is the first of its docstring, so that none is imported for it.
"""

GROUPS: dict[str, dict[str, str]] = {
    "Life of a VM": {
        "create": "Make a VM: its directory, its disks and its definition",
        "start": (
            "Start VMs; returns when QEMU answers, not when the guest is up"
        ),
        "run": "Start a VM in the foreground, a new one or one that exists",
        "shutdown": "Ask guests to shut down, and wait until they have",
        "reboot": (
            "Ask guests to reboot, and wait until they have reset the machine"
        ),
        "reset": (
            "Press the reset button: the guest boots again, and is not asked"
        ),
        "pause": (
            "Stop the CPUs of guests; their memory stays, clocks stand still"
        ),
        "resume": "Let guests run that are paused, for whatever reason",
        "save": "Write the memory of VMs to files and end QEMU",
        "quit": (
            "End QEMU at once; the guest is not asked, its disks are flushed"
        ),
        "kill": "Kill QEMU (SIGKILL): a power cut for the guest",
        "delete": "Delete stopped VMs with all that is in their directories",
    },
    "Look": {
        "list": "Show all VMs on this host, yours first, one row each",
        "show": "Show everything that is known about one VM",
        "stats": "Show what VMs use: CPU, memory, disks, network",
        "log": (
            "Show what was done to a VM, the newest first, and how it ended"
        ),
        "console": "Attach to a guest's first serial port; Ctrl-] leaves",
        "events": "Show what VMs tell as it happens, until Ctrl-C",
        "wait": "Wait until something holds of VMs",
    },
    "Change": {
        "set": "Change keys of a VM's definition",
        "edit": "Edit a VM's definition, its instance.toml",
        "rename": "Give a stopped VM another name",
        "clone": "Make a new VM from a stopped one",
        "autostart enable": (
            "Have systemd start VMs with the host, and shut them down"
        ),
        "autostart disable": (
            "No longer have systemd start VMs; what runs is left alone"
        ),
    },
    "Snapshots": {
        "snapshot create": (
            "Keep what a VM's disks hold now, to go back to it later"
        ),
        "snapshot list": (
            "List a VM's snapshots, internal and external, oldest first"
        ),
        "snapshot show": "Show everything that is known about a snapshot",
        "snapshot rename": "Give a snapshot another name",
        "snapshot revert": "Go back to a snapshot of a VM, running or stopped",
        "snapshot delete": "Delete snapshots of a VM",
        "snapshot diff": (
            "Show where disks differ between two snapshots, or one and now"
        ),
    },
    "Disks": {
        "disk list": (
            "List the disks of a VM, each with its whole backing chain"
        ),
        "disk info": "Show everything that is known about one disk",
        "disk add": "Give a VM one more disk, at once if it runs",
        "disk remove": (
            "Take a disk from a VM, at once if it runs; its file stays"
        ),
        "disk resize": (
            "Give a disk another size; a running guest sees it at once"
        ),
        "disk move": "Move a disk into another file, while the VM runs or not",
        "disk flatten": (
            "Copy all that a disk stands on into it, so that it stands alone"
        ),
        "disk commit": "Write a disk's active layer into its backing file",
        "disk throttle": "Limit what a disk reads and writes in a second",
        "cdrom insert": "Put a CD into a drive, in place of what is in there",
        "cdrom eject": "Take a CD out of its drive",
    },
    "Devices": {
        "device list": "List the devices of a VM, whoever started it",
        "device add": "Give a VM one more device, at once if it runs",
        "device remove": "Take a device from a VM, at once if it runs",
        "cpu set": "Give a VM another number of CPUs, at once if it runs",
        "memory set": "Give a VM more memory or less, at once if it runs",
        "usb list": "List what is plugged into a VM's USB controllers",
        "usb add": (
            "Plug something into a VM's USB controller, at once if it runs"
        ),
        "usb remove": (
            "Pull something out of a VM's USB controller, at once if it runs"
        ),
    },
    "Serve disks": {
        "nbd-export": "Serve disks of a VM to NBD clients, and print where",
        "export list": "Show what is served to NBD clients, by whomever",
        "export stop": "Stop serving what 'qemu nbd-export' serves",
    },
    "Guest": {
        "guest thaw": "Let guests write again whose file systems are frozen",
    },
    "Jobs": {
        "job list": "Show what your VMs do in the background, one row each",
        "job show": "Show one job of a VM",
        "job wait": (
            "Wait until jobs have ended, and finish what was left to them"
        ),
        "job cancel": (
            "Cancel jobs, and take back the changes that they were for"
        ),
        "job pause": "Have jobs make a pause, until 'qemu job resume'",
        "job resume": (
            "Have jobs go on that make a pause, or that a full disk stopped"
        ),
        "job dismiss": (
            "Have QEMU forget jobs that have ended, and their errors"
        ),
    },
    "Images": {
        "image create": (
            "Make an empty image, or with --backing an overlay on another"
        ),
        "image info": "Show what is known about an image, and who uses it",
        "image convert": (
            "Copy an image, with all that it stands on, into a new one"
        ),
        "image check": (
            "Look for errors in an image's tables; --repair mends them"
        ),
        "image compare": (
            "Compare what two images read as, with all that they stand on"
        ),
        "image map": (
            "Show in which layer the parts of an image are, and where"
        ),
    },
    "Screen": {
        "view": "Show a VM's screen in a window",
        "screenshot": (
            "Write what is on a VM's screen to a PNG file; print its name"
        ),
        "send-key": (
            "Press keys on a VM's keyboard, one combination after the other"
        ),
        "type": "Type a text on a VM's keyboard",
    },
    "VMs of others": {
        "join": (
            "Give a VM that somebody else started a name, and begin its log"
        ),
        "leave": "Undo 'qemu join': forget the name and the log of a VM",
        "capture": (
            "Write a definition that starts the same machine as one that runs"
        ),
    },
    "Talk to QEMU": {
        "qmp": "Send QMP commands to a VM, and print what it returns",
        "monitor": "Talk to a VM's QEMU at a prompt; Ctrl-D leaves",
        "hmp": (
            "Send a command to a VM's human monitor, and print what it says"
        ),
    },
    "This program": {
        "config list": "Show every setting, its value and where it comes from",
        "config get": "Show the value of one setting",
        "config set": "Change a setting; comments in the file are kept",
        "config unset": "Remove a setting from a file",
        "config edit": "Edit a settings file; it is checked before it counts",
        "plugin list": "Show all plug-ins: what they add, cost and do wrong",
        "plugin show": "Show all about one plug-in",
        "plugin doctor": (
            "Check all plug-ins, and say how to mend what is wrong"
        ),
        "plugin enable": "Use plug-ins again that were disabled",
        "plugin disable": "Do without plug-ins, and keep them installed",
        "plugin new": "Write the package of a new plug-in, to start from",
        "completion": "Print a script that completes 'qemu' in a shell",
        "doctor": (
            "Check the host and the VMs, and say how to mend what is wrong"
        ),
        "version": "Show the versions of all parts",
        "help": "Show all commands, the help of one or of a topic, or search",
    },
}
