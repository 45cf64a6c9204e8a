"""The same, to paste into an issue: versions and facts, no names."""

import getpass
import os
import platform
import re
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from qemu_cli import extensions
from qemu_cli.instance.doctor.check import Check

_PARTS = ("qemu-cli", "cliff", "stevedore", "pluggy", "qemu.qmp", "msgspec")


def render(checks: Iterable[Check]) -> str:
    """Return the report as Markdown.

    The user's home is ``~``; names of the user and the host are left out.
    """
    lines = ["### Versions", ""]
    lines += [f"- {part} {metadata.version(part)}" for part in _PARTS]
    lines += [f"- {plugin} (plug-in)" for plugin in _plugins()]
    lines += [
        f"- Python {platform.python_version()}",
        f"- Linux {platform.release()} {platform.machine()}",
        f"- {_distribution()}",
        "",
        "### Host",
        "",
        f"- CPU: {os.cpu_count()} × {_cpu()}",
        f"- memory: {_memory()}",
        f"- root: {'yes' if os.geteuid() == 0 else 'no'}",
        f"- terminal: {os.environ.get('TERM', 'none')}; language: "
        f"{os.environ.get('LC_ALL') or os.environ.get('LANG') or 'C'}",
        "",
        "### Checks",
        "",
    ]
    for check in checks:
        lines.append(f"- **{check.status}** {check.check}: {check.detail}")
    return _nameless("\n".join(lines) + "\n")


def _plugins() -> list[str]:
    groups = metadata.entry_points().groups
    return sorted(
        {
            str(extensions.provider(entry))
            for group in groups
            if group.startswith("qemu_cli.")
            for entry in extensions.foreign(group)
        }
    )


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return "unknown distribution"


def _cpu() -> str:
    return _field(Path("/proc/cpuinfo"), "model name")


def _memory() -> str:
    return _field(Path("/proc/meminfo"), "MemTotal")


def _field(path: Path, name: str) -> str:
    try:
        match = re.search(rf"^{name}\s*:\s*(.*)$", path.read_text(), re.M)
    except OSError:
        match = None
    return match[1] if match else "unknown"


def _nameless(text: str) -> str:
    home = str(Path.home())
    if home != "/":
        text = text.replace(home, "~")
    for name, instead in (
        (platform.node(), "HOST"),
        (getpass.getuser(), "USER"),
    ):
        if name and name != "root":
            text = re.sub(rf"\b{re.escape(name)}\b", instead, text)
    return text
