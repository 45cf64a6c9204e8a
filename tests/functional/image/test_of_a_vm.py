"""qemu image, on what VMs and other programs use."""

import json
import subprocess

from tests.functional.image.images import MIB, SMALL, lose, ok, qemu_io


def test_the_image_of_a_running_vm_can_be_looked_at(home, tmp_path):
    disk = home.paths.instance("up").directory / "disk0.qcow2"
    [row] = home("list", "up", "-f", "json").json
    said = ok(home("image", "info", disk, "-f", "json")).json
    [holder] = said["open_by"]
    assert (holder["pid"], holder["vm"]) == (row["pid"], "up")
    assert holder["writes"] is True
    [use] = said["used_by"]
    assert (use["vm"], use["part"], use["writes"]) == ("up", "disk0", True)
    mapped = ok(home("image", "map", disk))
    assert f"pid {row['pid']}" in mapped.err
    checked = ok(home("image", "check", disk, "-f", "json"))
    assert checked.json["verdict"] == "ok"
    assert "is being written to" in checked.err


def test_the_image_of_a_running_vm_is_not_read_nor_written(home, tmp_path):
    disk = home.paths.instance("up").directory / "disk0.qcow2"
    raw = home.paths.instance("up").directory / "disk1.raw"
    [row] = home("list", "up", "-f", "json").json
    target = tmp_path / "new.qcow2"
    for code, words in (
        (6, ("convert", disk, target)),
        (6, ("convert", raw, target)),
        (6, ("compare", disk, raw)),
        (6, ("check", disk, "--repair", "all")),
    ):
        refused = home("image", *words)
        assert refused.rc == code, refused.err
        assert f"'up' (qemu-system-x86_64, pid {row['pid']})" in refused.err
        assert "hint: " in refused.err
    refused = home("image", "create", target, "--backing", disk)
    assert refused.rc == 4
    assert "disk0 of 'up'" in refused.err
    assert list(tmp_path.iterdir()) == []


def test_the_base_of_a_vm_is_not_written(home, tmp_path):
    base = tmp_path / "base.qcow2"
    ok(home("image", "create", base, "8M"))
    ok(home("create", "over", "--image", base, *SMALL))
    try:
        [use] = ok(home("image", "info", base, "-f", "json")).json["used_by"]
        assert (use["vm"], use["part"]) == ("over", "base of disk0.qcow2")
        refused = home("image", "check", base, "--repair", "leaks")
        assert refused.rc == 4
        assert "base of disk0.qcow2 of 'over'" in refused.err
        # To be read, or to stand below one more, it is free.
        ok(home("image", "convert", base, tmp_path / "copy.raw"))
        ok(home("image", "create", tmp_path / "t.qcow2", "--backing", base))
    finally:
        ok(home("delete", "over", "--yes"))


def test_the_image_of_a_stopped_vm(home, tmp_path):
    directory = home.paths.instance("down").directory
    disk = directory / "disk0.qcow2"
    qemu_io(disk, "write -P 7 0 64k")
    ok(home("image", "convert", disk, tmp_path / "copy.raw"))
    lose(disk)
    said = ok(
        home("image", "check", disk, "--repair", "leaks", "-f", "json")
    ).json
    assert (said["verdict"], said["leaks_fixed"]) == ("ok", 1)
    refused = home("image", "create", tmp_path / "t.qcow2", "--backing", disk)
    assert refused.rc == 4
    assert "'qemu clone down NEW'" in refused.err


def test_a_raw_disk_is_never_probed(home, tmp_path):
    """Its guest can write what looks like another format."""
    raw = home.paths.instance("down").directory / "disk1.raw"
    fake = tmp_path / "fake.qcow2"
    secret = tmp_path / "secret"
    secret.write_bytes(b"s" * MIB)
    words = ("create", "-q", "-f", "qcow2", "-b", secret, "-F", "raw", fake)
    subprocess.run(["qemu-img", *words], check=True)
    with raw.open("r+b") as stream:
        stream.write(fake.read_bytes())
    said = ok(home("image", "info", raw, "-f", "json")).json
    assert (said["format"], said["backing_file"]) == ("raw", None)
    ok(home("image", "convert", raw, tmp_path / "copy.raw"))
    assert (tmp_path / "copy.raw").read_bytes() == raw.read_bytes()
    wrong = home("image", "info", raw, "--image-format", "qcow2")
    assert wrong.rc == 2
    assert "is raw, not qcow2" in wrong.err


def test_the_disk_of_a_saved_vm_is_not_written(home):
    ok(home("create", "kept", "--disk", "8M", *SMALL, "--start"))
    try:
        ok(home("save", "kept"))
        disk = home.paths.instance("kept").directory / "disk0.qcow2"
        refused = home("image", "check", disk, "--repair", "all")
        assert refused.rc == 4
        assert "saved state of 'kept'" in refused.err
        ok(home("image", "check", disk))
    finally:
        ok(home("delete", "kept", "--yes"))


def test_an_image_that_another_program_holds(qemu_home, made, tmp_path):
    image = made("disk.qcow2", "4M")
    holder = subprocess.Popen(
        ["qemu-io", "-f", "qcow2", image],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdin
        assert holder.stdout
        holder.stdin.write(b"length\n")
        holder.stdin.flush()
        holder.stdout.readline()  # it is open now
        who = f"qemu-io (pid {holder.pid})"
        for words in (
            ("check", image, "--repair", "all"),
            ("convert", image, tmp_path / "copy.raw"),
            ("compare", image, image),
            ("create", tmp_path / "top.qcow2", "--backing", image),
        ):
            refused = qemu_home("image", *words)
            assert refused.rc == 6, refused.err
            assert who in refused.err
        said = ok(qemu_home("image", "info", image)).out
        assert f"{who}, writes" in said
    finally:
        holder.communicate(b"quit\n")
    assert (
        json.loads(ok(qemu_home("image", "info", image, "-f", "json")).out)[
            "open_by"
        ]
        == []
    )
