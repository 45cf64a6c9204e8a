"""Backing chains of real images, also of a running VM."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from qemu_cli.errors import QemuCliError
from qemu_cli.storage import header, images
from qemu_cli.storage.dependants import backing_chain, users_of


def chain(qemu_img: str, path: Path, format: str | None) -> list[Path]:
    found = asyncio.run(backing_chain(qemu_img, path, format=format))
    return [Path(os.path.normpath(each)) for each in found]


def create(qemu_img: str, format: str, *arguments: str) -> None:
    argv = [qemu_img, "create", "-q", "-f", format, *arguments]
    subprocess.run(argv, check=True)


def test_header_agrees_with_qemu_img(qemu_img: str, tmp_path: Path) -> None:
    base, data = tmp_path / "base", tmp_path / "data"
    create(qemu_img, "raw", str(base), "1M")
    for compat in ("0.10", "1.1"):
        top = tmp_path / f"top-{compat}"
        create(
            *(qemu_img, "qcow2", "-o", f"compat={compat}"),
            *("-b", str(base), "-F", "raw", str(top)),
        )
        said = asyncio.run(images.info(qemu_img, top, format="qcow2"))
        assert header.read(top)[:3] == (said.backing_file, "raw", None)
    image = tmp_path / "image"
    create(qemu_img, "qcow2", "-o", f"data_file={data}", str(image), "1M")
    assert header.read(image)[:3] == (None, None, str(data))
    assert header.read(base) is None


def test_chain_of_four_formats(qemu_img: str, tmp_path: Path) -> None:
    vmdk, qed = tmp_path / "0.vmdk", tmp_path / "1.qed"
    middle, top = tmp_path / "2.qcow2", tmp_path / "3.qcow2"
    create(qemu_img, "vmdk", str(vmdk), "1M")
    create(qemu_img, "qed", "-b", str(vmdk), "-F", "vmdk", str(qed))
    create(qemu_img, "qcow2", "-b", "1.qed", "-F", "qed", str(middle))
    create(qemu_img, "qcow2", "-b", str(middle), "-F", "qcow2", str(top))
    assert chain(qemu_img, top, "qcow2") == [top, middle, qed, vmdk]
    assert users_of(vmdk, {"vm": chain(qemu_img, top, "qcow2")}) == ["vm"]


def test_data_file_belongs_to_it(qemu_img: str, tmp_path: Path) -> None:
    data, image = tmp_path / "data", tmp_path / "image"
    create(qemu_img, "qcow2", "-o", f"data_file={data}", str(image), "1M")
    assert chain(qemu_img, image, "qcow2") == [image, data]


def test_json_backing_name(qemu_img: str, tmp_path: Path) -> None:
    base, top = tmp_path / "base", tmp_path / "top"
    create(qemu_img, "qcow2", str(base), "1M")
    name = (
        'json:{"driver":"qcow2","file":{"driver":"file",'
        f'"filename":"{base}"}}}}'
    )
    create(qemu_img, "qcow2", "-b", name, "-F", "qcow2", str(top))
    assert chain(qemu_img, top, "qcow2") == [top, base]


def test_raw_disk_ends_the_chain_whatever_is_in_it(
    qemu_img: str, tmp_path: Path
) -> None:
    base, evil = tmp_path / "base", tmp_path / "evil"
    create(qemu_img, "qcow2", str(base), "1M")
    create(qemu_img, "qcow2", "-b", str(base), "-F", "qcow2", str(evil))
    assert chain(qemu_img, evil, "raw") == [evil]
    top = tmp_path / "top"
    create(qemu_img, "qcow2", "-b", str(evil), "-F", "raw", str(top))
    assert chain(qemu_img, top, "qcow2") == [top, evil]


def test_missing_base_is_named(qemu_img: str, tmp_path: Path) -> None:
    base, top = tmp_path / "base", tmp_path / "top"
    create(qemu_img, "qcow2", str(base), "1M")
    create(qemu_img, "qcow2", "-b", str(base), "-F", "qcow2", str(top))
    base.unlink()
    assert chain(qemu_img, top, "qcow2") == [top, base]


def test_chain_in_a_circle_ends(qemu_img: str, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    create(qemu_img, "qcow2", str(one), "1M")
    create(qemu_img, "qcow2", "-b", str(one), "-F", "qcow2", str(two))
    one.unlink()
    one.hardlink_to(two)
    assert chain(qemu_img, two, "qcow2") == [two]


def test_unreadable_image_is_an_error_not_an_end(
    qemu_img: str, tmp_path: Path
) -> None:
    top = tmp_path / "top"
    create(
        qemu_img,
        "qcow2",
        "-u",
        "-b",
        str(tmp_path),
        "-F",
        "qcow2",
        str(top),
        "1M",
    )
    with pytest.raises(QemuCliError, match="Is a directory"):
        chain(qemu_img, top, "qcow2")


def test_of_a_running_vm(
    qemu_img: str, tmp_path: Path, qemu_system: Path
) -> None:
    """No lock is asked for, and the VM's own is not in the way."""
    base, top = tmp_path / "base", tmp_path / "top"
    create(qemu_img, "qcow2", str(base), "1M")
    create(qemu_img, "qcow2", "-b", str(base), "-F", "qcow2", str(top))
    vm = subprocess.Popen(
        [
            *(qemu_system, "-machine", "none", "-nodefaults", "-display"),
            *("none", "-S", "-qmp", "stdio", "-blockdev"),
            f"driver=qcow2,node-name=d,file.driver=file,file.filename={top}",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert vm.stdin and vm.stdout
        vm.stdin.write(b'{"execute":"qmp_capabilities"}\n')
        vm.stdin.flush()
        assert b'"QMP"' in vm.stdout.readline()
        assert b'"return"' in vm.stdout.readline()
        locked = subprocess.run(
            [qemu_img, "info", "-f", "qcow2", str(top)],
            capture_output=True,
            text=True,
        )
        assert "lock" in locked.stderr
        assert chain(qemu_img, top, "qcow2") == [top, base]
        found = asyncio.run(images.chain(qemu_img, top, format="qcow2"))
        assert [each.path for each in found] == [str(top), str(base)]
    finally:
        vm.kill()
        vm.communicate()
