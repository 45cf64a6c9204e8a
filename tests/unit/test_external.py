"""Which executables on PATH are commands."""

import pytest

from qemu_cli import external

#: As Debian's qemu packages install them.
_INSTALLED = """
img nbd io storage-daemon pr-helper ga edid keymap trace-stap
bridge-helper vmsr-helper system-x86_64 system-x86_64-microvm system-aarch64
aarch64 aarch64-static aarch64_be-static alpha arm armeb-static cris hexagon
hppa i386 i386-static loongarch64 m68k microblaze microblazeel mips mips64
mips64el mipsel mipsn32 mipsn32el nios2 or1k ppc ppc64 ppc64le-static
ppc64abi32 riscv32 riscv64-static s390x sh4 sh4eb sparc sparc32plus
sparc64-static x86_64 x86_64-static xtensa xtensaeb debootstrap
make-debian-root
"""
QEMU = _INSTALLED.split()


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:/nowhere")
    for word in (*QEMU, "greet", "img-tool", "armour"):
        file = tmp_path / f"qemu-{word}"
        file.touch()
        file.chmod(0o755)
    (tmp_path / "qemu-text").touch()
    return tmp_path


def test_qemus_own_are_left_out(path):
    assert external.every() == ["armour", "greet", "img-tool"]
    assert [word for word in QEMU if external.find(word)] == []


def test_only_executables_are_found(path):
    assert external.find("greet") == str(path / "qemu-greet")
    assert external.find("text") is None
    assert external.find("nothing") is None


@pytest.mark.parametrize("word", ["", "../sh", "a/b", "-x", "a\nb", " "])
def test_words_that_are_no_names(path, word):
    assert external.find(word) is None
