"""What the disks of instances hold, and their definitions say."""

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

from qemu_cli.testing.home import QemuHome, Result

SMALL = ("--memory", "64M", "--accel", "tcg")


def ok(result: Result) -> Result:
    assert result.rc == 0, result.err
    return result


def definition(home: QemuHome, name: str) -> dict[str, Any]:
    return tomllib.loads(home.paths.instance(name).definition.read_text())


def disk(home: QemuHome, name: str, number: int = 0) -> tuple[Path, str]:
    entry = definition(home, name)["disks"][number]
    directory = home.paths.instance(name).directory
    return directory / entry["file"], entry["format"]


def chain(home: QemuHome, name: str, number: int = 0) -> list[Path]:
    image, image_format = disk(home, name, number)
    said = subprocess.check_output(
        [
            *("qemu-img", "info", "--output=json", "--backing-chain"),
            *("-f", image_format, image),
        ],
        timeout=60,
    )
    return [Path(layer["filename"]).resolve() for layer in json.loads(said)]


def qemu_io(home: QemuHome, name: str, command: str, number: int = 0) -> bool:
    image, image_format = disk(home, name, number)
    done = subprocess.run(
        ["qemu-io", "-f", image_format, "-c", command, image],
        stdout=subprocess.DEVNULL,
        timeout=60,
    )
    return done.returncode == 0


def write(home: QemuHome, name: str, pattern: int, number: int = 0) -> None:
    assert qemu_io(home, name, f"write -P {pattern} 0 1M", number)


def holds(home: QemuHome, name: str, pattern: int, number: int = 0) -> bool:
    return qemu_io(home, name, f"read -P {pattern} 0 1M", number)


def actions(home: QemuHome, name: str) -> list[str]:
    lines = home.paths.instance(name).history.read_text().splitlines()
    return [json.loads(line)["action"] for line in lines]
