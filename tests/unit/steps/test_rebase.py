"""Rebase: an image is put on another; what may be done is done again."""

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from qemu_cli.errors import ToolError
from qemu_cli.steps.rebase import Rebase
from qemu_cli.storage.qemu_img import flatten_argv


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    base, overlay = tmp_path / "base", tmp_path / "overlay"
    create = ("qemu-img", "create", "-q", "-f", "qcow2")
    subprocess.run([*create, base, "1M"], check=True)
    write = ("qemu-io", "-f", "qcow2", "-c", "write -P 7 0 64k")
    subprocess.run([*write, base], check=True, capture_output=True)
    over = (*create, "-b", base, "-F", "qcow2", overlay)
    subprocess.run(over, check=True)
    return overlay


def stands_alone(image: Path) -> bool:
    argv = ("qemu-img", "info", "--output=json", image)
    done = subprocess.run(argv, capture_output=True, check=True)
    return "backing-filename" not in json.loads(done.stdout)


@pytest.mark.parametrize("times", [0, 1, 2])
def test_who_does_not_know_does_it_again(overlay: Path, times: int) -> None:
    step = Rebase(flatten_argv("qemu-img", overlay))
    for _ in range(times):
        asyncio.run(step.do(None))  # type: ignore[arg-type]
    assert asyncio.run(step.is_done(None))  # type: ignore[arg-type]
    assert stands_alone(overlay)
    read = ("qemu-io", "-f", "qcow2", "-c", "read -P 7 0 64k", overlay)
    subprocess.run(read, check=True, capture_output=True)


def test_it_can_not_be_done(overlay: Path) -> None:
    overlay.with_name("base").unlink()
    step = Rebase(flatten_argv("qemu-img", overlay))
    assert not asyncio.run(step.is_done(None))  # type: ignore[arg-type]
    with pytest.raises(ToolError):
        asyncio.run(step.do(None))  # type: ignore[arg-type]
