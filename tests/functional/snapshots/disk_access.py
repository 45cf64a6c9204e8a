"""Disks as a guest reads and writes them, running or not."""

import json
import subprocess
import tempfile
from pathlib import Path

from qemu_cli.instance.host import Host
from qemu_cli.instance.vm import VM
from qemu_cli.storage import graph

_TIMEOUT_S = 60.0


def read(image: Path, image_format: str, tag: str | None = None) -> bytes:
    """Read all of an image, or of an internal snapshot in it."""
    inside = ("-l", f"snapshot.name={tag}") if tag else ()
    with tempfile.NamedTemporaryFile() as target:
        done = subprocess.run(
            [
                *("qemu-img", "convert", "-U", *inside),
                *("-f", image_format, "-O", "raw", image, target.name),
            ],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
        )
        assert done.returncode == 0, done.stderr
        return Path(target.name).read_bytes()


def write(image: Path, command: str) -> None:
    """Do what qemu-io(1) is told to an image that nobody has open."""
    done = subprocess.run(
        ["qemu-io", "-f", "qcow2", "-c", command, image],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
    )
    assert "wrote" in done.stdout, done.stdout + done.stderr


async def tell(host: Host, vm: VM, image: Path, command: str) -> None:
    """Do it to the disk of a running VM whose active layer that is."""
    async with host.sessions.open(vm.monitors) as session:
        found = await graph.read(session)
        (device,) = [
            each
            for each in found.devices
            if found.chain(each)
            and Path(found.active(each).file).samefile(image)
        ]
        said = vm.paths.qemu_log.stat().st_size
        line = f'qemu-io -d {device.qdev} "{command}"'
        text = await session.execute(
            "human-monitor-command", {"command-line": line}
        )
    with vm.paths.qemu_log.open() as stream:
        stream.seek(said)
        assert "wrote" in stream.read(), json.dumps([line, text])


async def flush(host: Host, vm: VM) -> None:
    """Have a running QEMU write all that it keeps of its images."""
    async with host.sessions.open(vm.monitors) as session:
        found = await graph.read(session)
        for device in found.devices:
            if found.chain(device):
                line = f"qemu-io {found.active(device).name} flush"
                await session.execute(
                    "human-monitor-command", {"command-line": line}
                )
