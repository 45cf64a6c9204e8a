"""What comes from others: systemd, the bridge helper, plug-ins."""

import getpass
import os
from importlib.metadata import entry_points
from pathlib import Path

from qemu_cli import extensions
from qemu_cli.emulator import bridge as bridges
from qemu_cli.errors import QemuCliError
from qemu_cli.instance.doctor.check import Check, fail, ok, warn
from qemu_cli.instance.host import Host

_SYSTEMD = Path("/run/systemd/system")  # see sd_booted(3)
_LINGER = Path("/var/lib/systemd/linger")  # loginctl(1) makes files in it


async def linger(host: Host) -> list[Check]:
    """Whether VMs can be started when the host is, before a login."""
    if not _SYSTEMD.is_dir():
        detail = "this host is not run by systemd: there is no autostart"
        return [warn("autostart", detail)]
    if os.geteuid() == 0:
        return [ok("autostart", "root's VMs are started by the host")]
    user = getpass.getuser()
    if (_LINGER / user).exists():
        return [ok("autostart", f"lingering is on for {user}")]
    return [
        warn(
            "autostart",
            f"lingering is off for {user}: VMs with autostart start at the "
            "first login, and are shut down at the last logout",
            "loginctl enable-linger",
        )
    ]


async def bridge(host: Host) -> list[Check]:
    """Whether --nic bridge can work."""
    try:
        helper = bridges.helper()
    except QemuCliError as error:
        detail = f"{error}; it is only needed for --nic bridge"
        return [warn("bridge helper", detail, error.hint)]
    set_uid = Path(helper).stat().st_mode & 0o4000
    if os.geteuid() != 0 and not set_uid:
        return [
            warn(
                "bridge helper",
                f"{helper} is not set-uid root, so --nic bridge can't work",
                f"sudo chmod u+s {helper}",
            )
        ]
    return [ok("bridge helper", helper)]


async def plugins(host: Host) -> list[Check]:
    """Import every plug-in."""
    found, count = [], 0
    groups = entry_points().groups
    for group in sorted(g for g in groups if g.startswith("qemu_cli.")):
        for entry in extensions.foreign(group):
            count += 1
            try:
                extensions.load(entry)
            except QemuCliError as error:
                found.append(fail("plug-in", str(error), error.hint))
    return found or [ok("plug-ins", f"{count} entry points, all load")]
