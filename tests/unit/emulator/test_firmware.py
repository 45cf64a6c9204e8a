"""Firmware descriptors: order, masks, what fits."""

import json
from pathlib import Path
from typing import Any

import pytest

from qemu_cli.emulator import firmware
from qemu_cli.errors import NotFoundError


def descriptor(
    directory: Path, name: str, *features: str, **changes: Any
) -> str:
    """Write a descriptor, and the files it names; return the code's name."""
    directory.mkdir(exist_ok=True)
    code = directory / f"{name}.code"
    code.touch()
    (directory / f"{name}.vars").touch()
    content = {
        "description": name,
        "interface-types": ["uefi"],
        "mapping": {
            "device": "flash",
            "executable": {"filename": str(code), "format": "raw"},
            "nvram-template": {
                "filename": str(directory / f"{name}.vars"),
                "format": "qcow2",
            },
        },
        "targets": [{"architecture": "x86_64", "machines": ["pc-q35-*"]}],
        "features": list(features),
        "tags": [],
        **changes,
    }
    (directory / f"{name}.json").write_text(json.dumps(content))
    return str(code)


def find(*where: Path, **options: Any) -> str:
    found = firmware.find("x86_64", "pc-q35-7.2", where=where, **options)
    return str(found.code)


def test_all_that_is_told(tmp_path: Path) -> None:
    code = descriptor(tmp_path, "50", "requires-smm", "acpi-s3")
    found = firmware.find("x86_64", "pc-q35-7.2", where=[tmp_path])
    assert str(found.code) == code
    assert (found.code_format, found.vars_format) == ("raw", "qcow2")
    assert found.vars_template == tmp_path / "50.vars"
    assert found.features == {"requires-smm", "acpi-s3"}
    assert found.needs_smm


def test_order_of_file_names_counts_not_of_directories(
    tmp_path: Path,
) -> None:
    first = descriptor(tmp_path / "user", "10")
    descriptor(tmp_path / "system", "20")
    assert find(tmp_path / "system", tmp_path / "user") == first


def test_later_directory_replaces_a_name(tmp_path: Path) -> None:
    descriptor(tmp_path / "system", "10")
    mine = descriptor(tmp_path / "user", "10")
    assert find(tmp_path / "system", tmp_path / "user") == mine


def test_empty_file_masks(tmp_path: Path) -> None:
    descriptor(tmp_path / "system", "10")
    second = descriptor(tmp_path / "system", "20")
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / "10.json").touch()
    assert find(tmp_path / "system", tmp_path / "user") == second


def test_secure_boot_wants_the_keys_too(tmp_path: Path) -> None:
    descriptor(tmp_path, "10")
    descriptor(tmp_path, "20", "secure-boot", "requires-smm")
    enrolled = descriptor(tmp_path, "30", "secure-boot", "enrolled-keys")
    assert find(tmp_path, secure_boot=True) == enrolled


def test_without_secure_boot_nothing_that_has_it(tmp_path: Path) -> None:
    descriptor(tmp_path, "10", "secure-boot", "enrolled-keys")
    descriptor(tmp_path, "20", "secure-boot")
    plain = descriptor(tmp_path, "30")
    assert find(tmp_path) == plain


@pytest.mark.parametrize(
    "changes",
    [
        {"interface-types": ["bios"]},
        {"mapping": {"device": "memory", "filename": "x"}},
        {"targets": [{"architecture": "x86_64", "machines": ["pc-i440fx-*"]}]},
        {"targets": [{"architecture": "aarch64", "machines": ["pc-q35-*"]}]},
        {"targets": None},
        {"features": None},
        {"mapping": {"device": "flash", "mode": "combined"}},
        {"mapping": {"device": "flash", "executable": {}}},
    ],
)
def test_what_does_not_fit_is_passed_over(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    descriptor(tmp_path, "10", **changes)
    fits = descriptor(tmp_path, "20")
    assert find(tmp_path) == fits


@pytest.mark.parametrize("text", ["{", "[]", "7", "\0"])
def test_broken_descriptor_is_passed_over(tmp_path: Path, text: str) -> None:
    fits = descriptor(tmp_path, "20")
    (tmp_path / "10.json").write_text(text)
    assert find(tmp_path) == fits


def test_missing_file_is_passed_over_and_named(tmp_path: Path) -> None:
    code = descriptor(tmp_path, "10")
    Path(code).unlink()
    with pytest.raises(NotFoundError, match=code) as error:
        find(tmp_path)
    assert "apt install ovmf" in (error.value.hint or "")
    fits = descriptor(tmp_path, "20")
    assert find(tmp_path) == fits


def test_nothing_there_names_the_package(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"aarch64 virt-7\.2") as error:
        firmware.find("aarch64", "virt-7.2", where=[tmp_path / "gone"])
    assert "qemu-efi-aarch64" in (error.value.hint or "")
    with pytest.raises(NotFoundError) as error:
        firmware.find("m68k", "virt", where=[tmp_path])
    assert error.value.hint is None


def test_users_directory_is_the_last(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert firmware.directories()[-1] == tmp_path / "qemu" / "firmware"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    expected = tmp_path / ".config" / "qemu" / "firmware"
    assert firmware.directories()[-1] == expected
