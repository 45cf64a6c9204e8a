"""nbd-export of a stopped VM: a qemu-storage-daemon serves its disks."""

import json
from pathlib import Path

from qemu_cli.testing.home import QemuHome
from tests.functional.exports.clients import run
from tests.functional.exports.stopped import (
    SMALL,
    assert_nothing_left,
    disk,
    io,
    server,
    uris,
)


def test_real_clients_read_what_is_on_the_disk(
    web: QemuHome, tmp_path: Path
) -> None:
    done = web("nbd-export", "web", "--live")  # it does not move
    assert done.err == ""
    (uri,) = done.out.split()
    assert uri.startswith("nbd+unix:///disk0?socket=")
    info = json.loads(run("nbdinfo", "--json", uri).stdout)["exports"][0]
    assert info["export-size"] == 64 << 20
    assert info["is_read_only"] is True
    copy = tmp_path / "copy.raw"
    assert run("nbdcopy", uri, copy).returncode == 0
    compare = run(
        *("qemu-img", "compare", "-f", "raw", "-F", "raw", uri, copy)
    )
    assert compare.returncode == 0, compare.stdout
    image = disk(web)
    compare = run(
        *("qemu-img", "compare", "-U", "-f", "raw", "-F", "qcow2", uri, image)
    )
    assert compare.returncode == 0, compare.stdout
    assert not io(uri, "write -P 2 0 512", "-f", "raw")
    assert web("export", "stop", "web").rc == 0
    assert_nothing_left(web)


def test_as_long_as_it_is_served_it_does_not_start(web: QemuHome) -> None:
    uris(web, "web")
    export, process = server(web)
    listed = web("export", "list", "web", "-f", "json").json
    assert [row["name"] for row in listed] == ["disk0"]
    assert listed[0]["pid"] == process.pid
    started = web("start", "web")
    assert started.rc == 4
    assert "is being exported: disk0" in started.err
    assert "qemu export stop web disk0" in started.err
    deleted = web("delete", "web", "--yes")
    assert deleted.rc == 4
    assert "is being exported" in deleted.err
    assert web("rename", "web", "www").rc == 4
    # It is only read: a clone reads it as well.
    assert web("clone", "web", "two").rc == 0
    assert web("export", "stop", "web", export.id).rc == 0
    assert web("start", "web").rc == 0
    assert web("kill", "web").rc == 0
    assert_nothing_left(web)


def test_each_disk_has_a_uri(qemu_home: QemuHome) -> None:
    disks = ("--disk", "8M", "--disk", "16M")
    assert qemu_home("create", "web", *disks, *SMALL).rc == 0
    sizes = [
        int(run("nbdinfo", "--size", uri).stdout)
        for uri in uris(qemu_home, "web")
    ]
    assert sizes == [8 << 20, 16 << 20]
    assert qemu_home("export", "stop", "web", "disk0").rc == 0
    listed = qemu_home("export", "list", "-f", "json").json
    assert [row["name"] for row in listed] == ["disk1"]
    (uri,) = uris(qemu_home, "web", "disk0", "--name", "a name/ä?")
    assert run("nbdinfo", "--size", uri).stdout.strip() == str(8 << 20)
    assert qemu_home("nbd-export", "web", "disk7").rc == 3
    assert qemu_home("nbd-export", "web", "disk1").rc == 4
    assert qemu_home("export", "stop", "web").rc == 0
    assert_nothing_left(qemu_home)


def test_writes_arrive(web: QemuHome) -> None:
    (uri,) = uris(web, "web", "--writable")
    assert io(uri, "write -P 2 0 1M", "-f", "raw")
    again = web("nbd-export", "web", "--name", "other")
    assert again.rc == 4
    assert "while a client writes" in again.err
    assert web("clone", "web", "two").rc == 4
    assert web("export", "stop", "web").rc == 0
    assert io(disk(web), "read -P 2 0 1M")
    assert run("qemu-img", "check", disk(web)).returncode == 0
    assert_nothing_left(web)


def test_what_others_stand_on_is_not_written(web: QemuHome) -> None:
    # Another instance's disk on this one's, made behind our back.
    assert web("create", "two", "--disk", "64M", *SMALL).rc == 0
    assert run(
        *("qemu-img", "rebase", "-u", "-f", "qcow2", "-F", "qcow2"),
        *("-b", disk(web), disk(web, "two")),
    ).returncode == 0  # fmt: skip
    refused = web("nbd-export", "web", "--writable")
    assert refused.rc == 4
    assert "'two'" in refused.err
    (uri,) = uris(web, "web", "--scratch")
    assert io(uri, "write -P 2 0 1M", "-f", "raw")
    assert web("export", "stop", "web").rc == 0
    assert io(disk(web), "read -P 1 0 1M")


def test_scratch_is_thrown_away(web: QemuHome) -> None:
    (uri,) = uris(web, "web", "--scratch")
    assert io(uri, "write -P 2 0 512k", "-f", "raw")
    assert io(uri, "read -P 2 0 512k", "-f", "raw")
    assert io(uri, "read -P 1 512k 512k", "-f", "raw")
    assert list(web.paths.instance("web").directory.glob("export-*"))
    assert web("export", "stop", "web").rc == 0
    assert io(disk(web), "read -P 1 0 1M")
    assert_nothing_left(web)


def test_scratch_is_bounded(web: QemuHome) -> None:
    small = web("nbd-export", "web", "--scratch", "--scratch-size", "4k")
    assert small.rc == 2
    assert "is the least" in small.err
    (uri,) = uris(web, "web", "--scratch", "--scratch-size", "4194305")
    assert io(uri, "write -P 2 0 1M", "-f", "raw")
    assert not io(uri, "write -P 2 1M 8M", "-f", "raw")
    assert io(uri, "read -P 2 0 1M", "-f", "raw")
    (overlay,) = web.paths.instance("web").directory.glob("export-*")
    assert overlay.stat().st_size == 4 << 20
    assert web("export", "stop", "web").rc == 0
    assert_nothing_left(web)


def test_a_backing_file(web: QemuHome) -> None:
    assert web("clone", "web", "two").rc == 0
    top = web.paths.instance("two").directory / "disk0.qcow2"
    assert io(top, "write -P 3 0 1M")
    (uri,) = uris(web, "two", "--backing")
    assert io(uri, "read -P 1 0 1M", "-r", "-f", "raw")
    deep = web("nbd-export", "two", "--backing", "2", "--name", "deep")
    assert deep.rc == 3
    assert "has only 1 backing file" in deep.err
    # Both only read it.
    assert web("start", "two").rc == 0
    assert io(uri, "read -P 1 0 1M", "-r", "-f", "raw")
    assert web("kill", "two").rc == 0
    assert web("export", "stop", "two").rc == 0
    assert_nothing_left(web, "two")


def test_a_bitmap(web: QemuHome) -> None:
    image = disk(web)
    assert run("qemu-img", "bitmap", "--add", image, "b0").returncode == 0
    assert io(image, "write -P 2 1M 64k")
    (uri,) = uris(web, "web", "--bitmap", "b0")
    context = "--map=qemu:dirty-bitmap:b0"
    extents = json.loads(run("nbdinfo", context, "--json", uri).stdout)
    dirty = [(e["offset"], e["length"]) for e in extents if e["type"]]
    assert dirty == [(1 << 20, 64 << 10)]
    assert web("export", "stop", "web").rc == 0
    missing = web("nbd-export", "web", "--bitmap", "b1")
    assert missing.rc == 3
    assert "it has: b0" in missing.err


def test_a_saved_state_goes_with_its_disks(web: QemuHome) -> None:
    assert web("start", "web").rc == 0
    assert web("save", "web").rc == 0
    refused = web("nbd-export", "web", "--writable")
    assert refused.rc == 4
    assert "saved state" in refused.err
    uris(web, "web")  # reading spoils nothing
    assert web("export", "stop", "web").rc == 0
    assert web("start", "web").rc == 0
    assert web("kill", "web").rc == 0


def test_nothing_is_changed_by_a_dry_run(web: QemuHome) -> None:
    done = web("nbd-export", "web", "--scratch", "--dry-run")
    assert done.rc == 0, done.err
    assert "qemu-storage-daemon" in done.out
    assert "qemu-img create" in done.out
    assert_nothing_left(web)
