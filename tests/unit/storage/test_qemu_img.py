"""The qemu-img command lines."""

from pathlib import Path

from qemu_cli.storage import qemu_img

IMG = "/usr/bin/qemu-img"


def test_paths_are_taken_for_nothing_else() -> None:
    assert qemu_img.file_name(Path("/a/nbd:b")) == "/a/nbd:b"
    assert qemu_img.file_name("nbd:b") == "./nbd:b"
    assert qemu_img.file_name("-f") == "./-f"
    assert qemu_img.file_name("json:{}") == "./json:{}"


def test_create() -> None:
    assert qemu_img.create_argv(IMG, "/d/disk.qcow2", 1024, "qcow2") == (
        *(IMG, "create", "-q", "-f", "qcow2", "/d/disk.qcow2", "1024"),
    )


def test_overlay_always_names_the_backing_format() -> None:
    argv = qemu_img.create_overlay_argv(IMG, "/d/o", "/d/base", "raw")
    assert argv == (
        *(IMG, "create", "-q", "-f", "qcow2"),
        *("-b", "/d/base", "-F", "raw", "/d/o"),
    )
    larger = qemu_img.create_overlay_argv(
        IMG, "/d/o", "/d/base", "raw", size_bytes=4096
    )
    assert larger == (*argv, "4096")


def test_convert() -> None:
    argv = qemu_img.convert_argv(IMG, "/a", "raw", "/b", "qcow2")
    formats = ("-f", "raw", "-O", "qcow2")
    assert argv == (IMG, "convert", *formats, "/a", "/b")


def test_shrinking_has_to_be_said() -> None:
    grow = qemu_img.resize_argv(IMG, "/a", "qcow2", 1)
    assert "--shrink" not in grow
    shrink = qemu_img.resize_argv(IMG, "/a", "qcow2", 1, shrink=True)
    assert "--shrink" in shrink


def test_copy_keeps_a_leading_dash_a_file() -> None:
    argv = qemu_img.copy_argv("-a", "-b")
    assert argv[-3:] == ("--", "-a", "-b")
