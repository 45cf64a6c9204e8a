"""The boot sector's shape; that it runs is a functional test."""

from qemu_cli.emulator.boot_sector import BOOT_SECTOR


def test_it_is_one_bootable_sector() -> None:
    assert len(BOOT_SECTOR) == 512
    assert BOOT_SECTOR[510:] == b"\x55\xaa"


def test_labels_are_where_the_code_expects_them() -> None:
    code = BOOT_SECTOR.rstrip(b"\x55\xaa").rstrip(b"\0")
    gdtr = 0x7C85 - 0x7C00
    assert code[gdtr : gdtr + 6] == bytes.fromhex("0f00 757c0000")
    gdt = 0x7C75 - 0x7C00
    assert code[gdt : gdt + 8] == bytes(8)
    # The access byte: present, code, readable; and the flag L: 64 bits.
    assert code[gdt + 13 : gdt + 15] == b"\x9a\x20"
    long_mode = 0x7C8B - 0x7C00
    assert code[long_mode : long_mode + 5] == b"\xbf\x00\x00\x40\x00"
