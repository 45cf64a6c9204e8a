"""qemu image create, info, map, check and compare, on real images."""

import csv
import os
import subprocess
from pathlib import Path

import pytest

from tests.functional.image.images import MIB, follow, lose, ok, qemu_io


@pytest.mark.parametrize(
    ("name", "options", "format"),
    [
        ("a.qcow2", (), "qcow2"),
        ("a.raw", (), "raw"),
        ("a.img", (), "qcow2"),
        ("a.raw", ("--image-format", "qcow2"), "qcow2"),
        ("ü %s' b.vmdk", (), "vmdk"),
    ],
)
def test_create(qemu_home, tmp_path, name, options, format):
    path = tmp_path / name
    said = ok(
        qemu_home("image", "create", path, "3M", *options, "-f", "json")
    ).json
    assert (said["file"], said["format"]) == (str(path), format)
    assert said["virtual_size_bytes"] == 3 * MIB
    seen = ok(qemu_home("image", "info", path, "-f", "json")).json
    assert (seen["format"], seen["virtual_size_bytes"]) == (format, 3 * MIB)


def test_an_overlay(qemu_home, made, tmp_path, monkeypatch):
    base = made("base.qcow2", "4M")
    qemu_io(base, "write -P 7 1M 64k")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    top = Path("sub/top.qcow2")
    # As it is typed, from here, and not from the overlay's directory.
    ok(qemu_home("image", "create", top, "--backing", base.name))
    qemu_io(top, "read -P 7 1M 64k", "write -P 8 2M 64k")
    qemu_io(base, "read -P 0 2M 64k")
    larger = tmp_path / "larger.qcow2"
    words = ("image", "create", larger, "8M", "--backing", base)
    said = ok(qemu_home(*words, "-f", "json")).json
    assert said["virtual_size_bytes"] == 8 * MIB
    assert said["backing_format"] == "qcow2"


def test_what_create_refuses(qemu_home, made, tmp_path):
    base = made("base.qcow2", "4M")
    before = base.read_bytes()
    new = tmp_path / "new.qcow2"
    cases = [
        (4, "exists already", (base, "4M")),
        (2, "no size", (new,)),
        (2, "is not a size", (new, "much")),
        (2, "overlay is qcow2", (tmp_path / "a.vdi", "--backing", base)),
        (2, "is less than", (new, "1M", "--backing", base)),
        (3, "no image file", (new, "--backing", tmp_path / "gone")),
        (3, "no directory", (tmp_path / "gone" / "a.qcow2", "1M")),
        (2, "invalid choice", (new, "1M", "--image-format", "zip")),
    ]
    for code, text, words in cases:
        result = qemu_home("image", "create", *words)
        assert (result.rc, result.out) == (code, ""), result.err
        assert text in result.err
    assert os.listdir(tmp_path) == ["base.qcow2"]  # noqa: PTH208
    assert base.read_bytes() == before


def test_info_of_a_chain(qemu_home, made):
    base = made("base.qcow2", "4M")
    qemu_io(base, "write -P 7 1M 64k")
    for words in (
        ("snapshot", "-c", "before", base),
        ("bitmap", "--add", base, "noted"),
        ("bitmap", "--add", "--disable", base, "resting"),
    ):
        subprocess.run(["qemu-img", *words], check=True)
    top = made("top.qcow2", "--backing", base)
    said = ok(qemu_home("image", "info", top, "-f", "json")).json
    assert said["backing_file"] == str(base)
    assert (said["used_by"], said["open_by"]) == ([], [])
    assert [layer["file"] for layer in said["chain"]] == [str(top), str(base)]
    below = said["chain"][1]
    assert below["problem"] is None
    assert [each["name"] for each in below["snapshots"]] == ["before"]
    assert [(b["name"], b["recording"]) for b in below["bitmaps"]] == [
        ("noted", True),
        ("resting", False),
    ]
    text = ok(qemu_home("image", "info", base)).out
    for words in ("before (20", "noted (recording)", "resting (not rec"):
        assert words in text
    for format in ("csv", "yaml", "value", "ndjson"):
        assert (
            str(top) in ok(qemu_home("image", "info", top, "-f", format)).out
        )


def test_info_of_broken_chains(qemu_home, made, tmp_path):
    base = made("base.qcow2", "4M")
    top = made("top.qcow2", "--backing", base)
    base.unlink()

    def below() -> dict:
        said = ok(qemu_home("image", "info", top, "-f", "json")).json
        return said["chain"][1]

    def rebase(name: str) -> None:
        words = ("rebase", "-u", "-F", "qcow2", "-b", name, top)
        subprocess.run(["qemu-img", *words], check=True)

    assert below()["problem"] == "it is missing"
    convert = ("image", "convert", top, tmp_path / "x.raw", "--trust-image")
    for words in (("image", "map", top), convert):
        refused = qemu_home(*words)
        assert refused.rc == 4
        assert "is missing" in refused.err
    # Its own tables can be checked all the same.
    assert ok(qemu_home("image", "check", top, "-f", "json")).json[
        "verdict"
    ] == ("ok")
    rebase("nbd://192.0.2.1/x")
    assert below()["file"] == "nbd://192.0.2.1/x"
    refused = qemu_home("image", "map", top)
    assert refused.rc == 2
    assert "no file of this host" in refused.err
    rebase(top.name)
    assert below()["problem"] == "it is its own base"
    base.write_bytes(b"QFI\xfb and nothing")
    rebase(base.name)
    assert "damaged" in below()["problem"]


@pytest.mark.parametrize("command", ["info", "check", "map"])
def test_what_is_no_image(qemu_home, tmp_path, command):
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("hello")
    os.mkfifo(tmp_path / "fifo")
    for name, code in (
        ("gone", 3),
        (".", 2),
        ("empty", 2),
        ("text", 2),
        ("fifo", 2),
    ):
        result = qemu_home("image", command, tmp_path / name)
        assert (result.rc, result.out) == (code, ""), name
        assert str(tmp_path) in result.err


def test_map(qemu_home, made):
    base = made("base.qcow2", "4M")
    qemu_io(base, "write -P 7 0 1M")
    top = made("top.qcow2", "--backing", base)
    qemu_io(top, "write -P 8 1M 64k", "write -z 2M 64k")
    parts = ok(qemu_home("image", "map", top, "-f", "json")).json
    assert [
        (part["start_bytes"], part["kind"], Path(part["file"]).name)
        for part in parts
    ] == [
        (0, "data", "base.qcow2"),
        (MIB, "data", "top.qcow2"),
        (MIB + (64 << 10), "nothing", "base.qcow2"),
        (2 * MIB, "zero", "top.qcow2"),
        (2 * MIB + (64 << 10), "nothing", "base.qcow2"),
    ]
    assert sum(part["length_bytes"] for part in parts) == 4 * MIB
    content = top.read_bytes()[parts[1]["offset_bytes"] :]
    assert content[: 64 << 10] == b"\x08" * (64 << 10)
    table = ok(qemu_home("image", "map", top, "-f", "csv")).out
    assert len(list(csv.DictReader(table.splitlines()))) == len(parts)


def spoil(image: Path) -> None:
    """Say of the second data cluster that nobody uses it."""
    cluster = follow(image, 40, 0, 8) >> 16
    first_refcounts = follow(image, 48, 0)
    with image.open("r+b") as stream:
        stream.seek(first_refcounts + 2 * cluster)
        stream.write(bytes(2))


def test_check_finds_and_mends(qemu_home, made):
    image = made("disk.qcow2", "4M")
    qemu_io(image, "write -P 7 0 64k", "write -P 8 64k 64k")
    said = ok(qemu_home("image", "check", image, "-f", "json")).json
    assert (said["verdict"], said["allocated_clusters"]) == ("ok", 2)

    lose(image)
    result = ok(qemu_home("image", "check", image, "-f", "json"))
    assert (result.json["verdict"], result.json["leaks"]) == ("leaks", 1)
    assert f"qemu image check {image} --repair leaks" in result.err
    repair = ("image", "check", image, "--repair")
    said = ok(qemu_home(*repair, "leaks", "-f", "json")).json
    assert (said["verdict"], said["leaks_fixed"]) == ("ok", 1)

    spoil(image)
    result = qemu_home("image", "check", image, "-f", "json")
    assert (result.rc, result.json["verdict"]) == (1, "damaged")
    assert result.json["corruptions"] >= 1
    said = ok(qemu_home(*repair, "all", "-f", "json")).json
    assert said["corruptions_fixed"] >= 1
    assert said["verdict"] == "ok"


def test_check_says_what_can_not_be_checked(qemu_home, made):
    result = qemu_home("image", "check", made("a.raw", "1M"))
    assert result.rc == 2
    assert "no tables" in result.err


def test_compare(qemu_home, made, tmp_path):
    one = made("one.qcow2", "4M")
    qemu_io(one, "write -P 7 1M 64k")
    other = tmp_path / "other.raw"
    ok(qemu_home("image", "convert", one, other))
    words = ("image", "compare", one, other, "-f", "json")
    said = ok(qemu_home(*words)).json
    assert (said["same"], said["difference_bytes"]) == (True, None)
    os.truncate(other, 5 * MIB)
    said = ok(qemu_home(*words)).json
    assert said["same"] is True
    assert said["other_size_bytes"] == 5 * MIB
    qemu_io(other, "write -P 9 2M 1k", format="raw")
    result = qemu_home(*words)
    assert (result.rc, result.json["same"]) == (1, False)
    assert result.json["difference_bytes"] == 2 * MIB
