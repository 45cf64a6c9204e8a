"""A QEMU that somebody started by hand, to be captured."""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from qemu_cli.testing.home import QemuHome, Result
from qemu_cli.testing.real_qemu import binary

TIMEOUT_S = 60.0
SIZE = "8M"


class Old:
    """A QEMU that somebody starts by hand, in a directory of theirs."""

    def __init__(self, directory: Path, home: QemuHome) -> None:
        self.directory = directory
        self.home = home
        self._children: list[subprocess.Popen[bytes]] = []

    def image(self, name: str, image_format: str = "qcow2") -> Path:
        path = self.directory / name
        subprocess.run(
            ["qemu-img", "create", "-q", "-f", image_format, path, SIZE],
            check=True,
        )
        return path

    def start(self, *words: str, ready: str | None = "q") -> int:
        child = subprocess.Popen(
            [binary(), "-accel", "tcg", *words],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "PWD": str(self.directory)},
        )
        self._children.append(child)
        end = time.monotonic() + TIMEOUT_S
        while ready and not (self.directory / ready).exists():
            assert child.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
        return child.pid

    def capture(self, pid: int) -> tuple[Path, list[dict[str, str]]]:
        """Capture it, and end it."""
        file = self.directory / "captured.toml"
        done = self.home(
            *("capture", f"pid:{pid}", "--to", file, "-f", "json")
        )
        assert done.rc == 0, done.err
        return file, done.json["report"]

    def end(self) -> None:
        for child in self._children:
            child.kill()
            child.wait()


def created(home: QemuHome, name: str, file: Path) -> Result:
    done = home("create", name, "--definition", file, "--start")
    assert done.rc == 0, done.err
    return done


def ask(home: QemuHome, reference: str) -> dict[str, Any]:
    """What QEMU itself says of its machine."""

    def qmp(command: str, *words: str) -> Any:
        done = home("qmp", reference, command, *words)
        assert done.rc == 0, done.err
        return json.loads(done.out)

    cpus = qmp("query-cpus-fast")
    return {
        "machine": qmp("qom-get", "path=/machine", "property=type"),
        "cpus": [cpu["props"] for cpu in cpus],
        "cpu": qmp("qom-get", f"path={cpus[0]['qom-path']}", "property=type"),
        "memory": qmp("query-memory-size-summary"),
        "uuid": qmp("query-uuid"),
        "name": qmp("query-name"),
        "pci": [
            (each["bus"], each["slot"], each["function"], each["id"])
            for bus in qmp("query-pci")
            for each in _flat(bus["devices"])
        ],
        "disks": _disks(qmp),
        "macs": re.findall(r"macaddr=(\S+?)\b", _text(home, reference)),
    }


def _text(home: QemuHome, reference: str) -> str:
    return home("hmp", reference, "info", "network").out


def _flat(devices: list[Any]) -> Iterator[Any]:
    for device in devices:
        yield device
        bridge = device.get("pci_bridge", {})
        yield from _flat(bridge.get("devices", []))


def _disks(qmp: Callable[..., Any]) -> list[tuple[Any, ...]]:
    """Each device with a medium, and what is in it."""
    found = []
    for block in qmp("query-block"):
        path = block.get("qdev", "").removesuffix("/virtio-backend")
        if not path:
            continue  # a drive that no device has
        if not path.startswith("/"):
            path = f"/machine/peripheral/{path}"
        kind = qmp("qom-get", f"path={path}", "property=type")
        medium = block.get("inserted")
        found.append(
            (
                kind,
                medium and Path(medium["file"]).name,
                medium and medium["drv"],
                medium and medium["ro"],
                medium and medium["cache"]["direct"],
            )
        )
    return sorted(found, key=str)
