"""wish: what the options of a new VM mean."""

import argparse
from pathlib import Path
from typing import Any, get_args

import pytest

from qemu_cli.command import wish as options
from qemu_cli.command.wish import add_wish_options, parse_disk, wish_of
from qemu_cli.config import Config
from qemu_cli.errors import UsageError
from qemu_cli.instance import model
from qemu_cli.instance.wish import (
    DiskWish,
    ForwardWish,
    NicWish,
    Wish,
    parse_forward,
    parse_memory,
)

GIB = 1 << 30


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a file in it, and one that is called as a size."""
    monkeypatch.chdir(tmp_path)
    for name in ("disk.qcow2", "10G", "a,b.qcow2"):
        Path(name).write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("1G", DiskWish(size_bytes=GIB)),
        ("10G", DiskWish(size_bytes=10 * GIB)),
        ("./10G", DiskWish(source=Path("10G"))),
        ("disk.qcow2", DiskWish(source=Path("disk.qcow2"))),
        ("/no/such", DiskWish(source=Path("/no/such"))),
        ("a,,b.qcow2", DiskWish(source=Path("a,b.qcow2"))),
        (
            "a,,b.qcow2,bus=scsi",
            DiskWish(source=Path("a,b.qcow2"), bus="scsi"),
        ),
        (
            "1G,bus=nvme,format=raw,cache=none,readonly=on",
            DiskWish(
                size_bytes=GIB,
                bus="nvme",
                format="raw",
                cache="none",
                read_only=True,
            ),
        ),
        (
            "disk.qcow2,size=1G,readonly=off",
            DiskWish(source=Path("disk.qcow2"), size_bytes=GIB),
        ),
    ],
)
def test_disks(text: str, wish: DiskWish) -> None:
    assert parse_disk(text) == wish


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is neither a size nor a file"),
        ("nosuch.qcow2", "'nosuch.qcow2' is neither a size nor a file"),
        ("2X", "'2X' is neither a size nor a file"),
        ("-1", "'-1' is neither a size nor a file"),
        ("0", "'0' is neither a size nor a file"),
        ("1e99", "'1e99' is neither a size nor a file"),
        ("1G,size=2G", "that is two sizes"),
        ("disk.qcow2,size=2X", "'2X' is not a size"),
        ("1G,colour=red", "'colour=red' is not understood"),
        ("1G,bus", "'bus' is not understood"),
        ("1G,", "'' is not understood"),
        ("1G,bus=", "there is no bus ''"),
        ("1G,bus=floppy", "there is no bus 'floppy'"),
        ("1G,format=luks", "there is no format 'luks'"),
        ("1G,cache=full", "there is no cache 'full'"),
        ("1G,readonly=yes", "there is no readonly 'yes'"),
    ],
)
def test_bad_disks(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_disk(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("22", ForwardWish(22, 0, "127.0.0.9")),
        (":22", ForwardWish(22, 0, "127.0.0.9")),
        ("0:22", ForwardWish(22, 0, "127.0.0.9")),
        ("2222:22", ForwardWish(22, 2222, "127.0.0.9")),
        ("0.0.0.0:80:8080", ForwardWish(8080, 80, "0.0.0.0")),
        ("10.0.0.1::22", ForwardWish(22, 0, "10.0.0.1")),
        ("53/udp", ForwardWish(53, 0, "127.0.0.9", "udp")),
        ("65535:65535/tcp", ForwardWish(65535, 65535, "127.0.0.9")),
    ],
)
def test_forwards(text: str, wish: ForwardWish) -> None:
    assert parse_forward(text, "127.0.0.9") == wish


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "22/",
        "22/sctp",
        "1:2:3:4",
        "::1:22",
        "-1",
        "+22",
        "2_2",
        " 22",
        "٢٢",
        "0",
        "65536",
        "65536:22",
        "22:",
        "localhost:1:2",
        "127.0.0.1,restrict=on:1:2",
        "256.0.0.1:1:2",
    ],
)
def test_bad_forwards(text: str) -> None:
    with pytest.raises(UsageError):
        parse_forward(text)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("512", 512 << 20),
        ("512M", 512 << 20),
        ("2G", 2 * GIB),
        ("1.5G", 3 << 29),
    ],
)
def test_memory(text: str, size_bytes: int) -> None:
    assert parse_memory(text) == size_bytes


def wish(*words: str, **settings: str) -> Wish:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_wish_options(parser)
    config = Config(
        user=Path("none"),
        system=Path("none"),
        environ={},  # type: ignore[arg-type]
        overrides=[f"{k.replace('_', '.')}={v}" for k, v in settings.items()],
    )
    return wish_of(parser.parse_args(["web", *words]), config)


def test_nothing_said_is_what_is_usual() -> None:
    assert wish() == Wish(name="web")


@pytest.mark.parametrize(
    ("words", "nics"),
    [
        ((), (NicWish(),)),
        (("user",), (NicWish(),)),
        (("none",), ()),
        (("bridge=br0",), (NicWish("br0"),)),
        (("user", "bridge=br0"), (NicWish(), NicWish("br0"))),
    ],
)
def test_nics(words: tuple[str, ...], nics: tuple[NicWish, ...]) -> None:
    typed = [option for word in words for option in ("--nic", word)]
    assert wish(*typed).nics == nics


@pytest.mark.parametrize(
    "words",
    [
        ("",),
        ("tap",),
        ("bridge",),
        ("bridge=",),
        ("user=x",),
        ("none", "user"),
    ],
)
def test_bad_nics(words: tuple[str, ...]) -> None:
    typed = [option for word in words for option in ("--nic", word)]
    with pytest.raises(UsageError, match="is not understood"):
        wish(*typed)


@pytest.mark.parametrize(
    ("options", "mode"),
    [((), "overlay"), (("--copy",), "copy"), (("--in-place",), "in-place")],
)
def test_how_images_are_taken(options: tuple[str, ...], mode: str) -> None:
    made = wish("--image", "disk.qcow2", "--disk", "./10G", *options)
    assert [str(disk.source) for disk in made.disks] == ["disk.qcow2", "10G"]
    assert {disk.mode for disk in made.disks} == {mode}


def test_a_forward_listens_where_the_setting_says() -> None:
    made = wish("--forward", "22", "--forward", "127.0.0.1::80",
                forward_host="0.0.0.0")  # fmt: skip
    assert [f.host_address for f in made.forwards] == ["0.0.0.0", "127.0.0.1"]


def test_everything_at_once() -> None:
    made = wish(
        *("--memory", "2G", "--cpus", "4", "--arch", "aarch64"),
        *("--profile", "virt", "--machine", "virt", "--cpu", "max"),
        *("--accel", "tcg", "--firmware", "uefi", "--secure-boot", "--tpm"),
        *("--kernel", "k", "--initrd", "i", "--append", "a b"),
        *("--cdrom", "a.iso", "--cdrom", "b.iso", "--display", "vnc"),
        *("--qemu-arg=-d", "--qemu-arg", "guest_errors", "--trust-image"),
    )
    assert made == Wish(
        name="web",
        memory_bytes=2 * GIB,
        cpus=4,
        arch="aarch64",
        profile="virt",
        machine="virt",
        cpu="max",
        accel="tcg",
        firmware="uefi",
        secure_boot=True,
        tpm=True,
        kernel=Path("k"),
        initrd=Path("i"),
        append="a b",
        cdroms=(Path("a.iso"), Path("b.iso")),
        display="vnc",
        qemu_args=("-d", "guest_errors"),
        trust_image=True,
    )


@pytest.mark.parametrize("number", ["0", "-1", "1.5", "x", "٣", ""])
def test_bad_numbers_of_cpus(number: str) -> None:
    with pytest.raises((UsageError, argparse.ArgumentError)):
        wish(f"--cpus={number}")


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (options._BUSES, model.DiskBus),
        (options._CACHES, model.Cache),
        (options._FORMATS, model.ImageFormat),
        (options._DISPLAYS, model.DisplayKind),
    ],
)
def test_the_words_are_those_of_the_definition(
    words: tuple[str, ...], kind: Any
) -> None:
    assert words == get_args(kind)
