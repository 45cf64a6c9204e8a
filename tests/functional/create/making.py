"""Making VMs, and what becomes of them."""

import json
import subprocess
from pathlib import Path
from typing import Any

from qemu_cli.instance import definitions
from qemu_cli.instance.model import Definition
from qemu_cli.testing.home import QemuHome, Result

QUICK = ("--accel", "tcg", "--memory", "64M")


def make(qemu_home: QemuHome, name: str, *options: str | Path) -> Definition:
    result = qemu_home("create", name, *QUICK, *options)
    assert result.rc == 0, result.err
    return definitions.load(qemu_home.paths.instance(name).definition)


def refused(qemu_home: QemuHome, *options: str | Path, rc: int = 2) -> Result:
    """Nothing is made when this is asked for."""
    result = qemu_home("create", "vm", *QUICK, *options)
    assert result.rc == rc, result.err
    assert result.out == ""
    assert result.err.startswith("qemu: error: ")
    assert not qemu_home.paths.instance("vm").directory.exists()
    assert list(qemu_home.paths.pending.glob("*")) == []
    return result


def running(qemu_home: QemuHome, name: str) -> dict[str, Any]:
    (row,) = qemu_home("list", name, "-f", "json").json
    assert row["state"] == "running", row
    return dict(row)


def start(qemu_home: QemuHome, name: str) -> list[str]:
    """Start it; returns QEMU's command line."""
    result = qemu_home("start", name)
    assert result.rc == 0, result.err
    pid = running(qemu_home, name)["pid"]
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]


def image(file: Path) -> dict[str, Any]:
    argv = ["qemu-img", "info", "-U", "--output=json", str(file)]
    return dict(json.loads(subprocess.check_output(argv)))
