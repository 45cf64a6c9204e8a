"""UEFI firmware, found through QEMU's firmware descriptors.

A distribution describes each firmware in a JSON file (QEMU's
docs/interop/firmware.json).  They are tried in the order of their file
names; a file in a later directory replaces one of the same name in an
earlier one, and an empty file there takes it away.
"""

import json
import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from qemu_cli.errors import NotFoundError

_PACKAGES = {
    "x86_64": "ovmf",
    "i386": "ovmf-ia32",
    "aarch64": "qemu-efi-aarch64",
    "arm": "qemu-efi-arm",
    "riscv64": "qemu-efi-riscv64",
    "loongarch64": "qemu-efi-loongarch64",
}


class Firmware(NamedTuple):
    """Code and the template of its variables, each a file and its format."""

    code: Path
    code_format: str
    vars_template: Path
    vars_format: str
    features: frozenset[str]

    @property
    def needs_smm(self) -> bool:
        """Does it want ``-machine smm=on`` and a protected flash?"""
        return "requires-smm" in self.features


def directories() -> tuple[Path, ...]:
    """Where descriptors are, the most general first (firmware.json)."""
    config = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return (
        Path("/usr/share/qemu/firmware"),
        Path("/etc/qemu/firmware"),
        Path(config, "qemu/firmware").expanduser(),
    )


def find(
    arch: str,
    machine: str,
    *,
    secure_boot: bool = False,
    where: Sequence[Path] | None = None,
) -> Firmware:
    """Find the UEFI firmware for a machine type.

    With Secure Boot: the first that has it and the usual keys enrolled;
    without: the first that does not have it.

    :param machine: the versioned machine type, such as ``pc-q35-7.2``
    :param where: see :func:`directories`
    :raise NotFoundError: with the Debian package in the hint
    """
    wanted = {"secure-boot", "enrolled-keys"} if secure_boot else set()
    missing: list[Path] = []
    for descriptor in _descriptors(where or directories()):
        firmware = _parse(descriptor, arch, machine)
        if firmware is None:
            continue
        if {"secure-boot", "enrolled-keys"} & firmware.features != wanted:
            continue
        files = (firmware.code, firmware.vars_template)
        absent = [file for file in files if not file.exists()]
        if not absent:
            return firmware
        missing += absent
    boot = "UEFI with Secure Boot" if secure_boot else "UEFI"
    why = f": {missing[0]} is missing" if missing else ""
    package = _PACKAGES.get(arch)
    raise NotFoundError(
        f"there is no {boot} firmware for {arch} {machine}{why}",
        hint=f"on Debian: apt install {package}" if package else None,
    )


def _descriptors(where: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Yield what the descriptors say, in their order; broken ones not."""
    by_name: dict[str, Path] = {}
    for directory in where:
        if directory.is_dir():
            by_name |= {file.name: file for file in directory.glob("*.json")}
    for name in sorted(by_name):
        try:
            descriptor = json.loads(by_name[name].read_bytes())
        except (OSError, ValueError):
            continue  # an empty file, too: it hides another
        if isinstance(descriptor, dict):
            yield descriptor


def _parse(
    descriptor: dict[str, Any], arch: str, machine: str
) -> Firmware | None:
    """Return the firmware if it is UEFI in flash and fits the machine."""
    try:
        mapping = descriptor["mapping"]
        fits = (
            "uefi" in descriptor["interface-types"]
            and mapping["device"] == "flash"
            and mapping.get("mode", "split") == "split"
            and any(
                target["architecture"] == arch
                and any(fnmatchcase(machine, m) for m in target["machines"])
                for target in descriptor["targets"]
            )
        )
        if not fits:
            return None
        code, template = mapping["executable"], mapping["nvram-template"]
        return Firmware(
            code=Path(code["filename"]),
            code_format=code["format"],
            vars_template=Path(template["filename"]),
            vars_format=template["format"],
            features=frozenset(descriptor["features"]),
        )
    except (KeyError, TypeError, AttributeError):
        return None  # not as firmware.json wants it
