"""Directories that real guests mount, over both drivers."""

import contextlib
import os
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

#: Random, and more than one message of either protocol.
SIZE = 3_000_001


@pytest.fixture(scope="module")
def shared():
    """A directory that is not in the home of ``qemu``."""
    with tempfile.TemporaryDirectory(prefix="q-") as directory:
        yield Path(directory)


def ok(result):
    assert result.rc == 0, result.err
    return result


def refused(result, code, said):
    assert result.rc == code, (result.rc, result.out, result.err)
    assert said in result.err
    assert "Traceback" not in result.err
    return result.err


def rows(home, *names):
    return ok(home("share", "list", *names, "-f", "json")).json


def servers(home):
    """The virtiofsd processes of a home, as ps(1) sees them."""
    argv = ["pgrep", "-f", f"^[^ ]*virtiofsd .*{home.directory}"]
    done = subprocess.run(argv, capture_output=True, text=True)
    return [int(pid) for pid in done.stdout.split()]


@pytest.fixture(scope="module")
def usual(guest_home, shared):
    """The driver that this host takes by itself."""
    create = ("create", "usual", "--accel", "tcg", "--share", shared)
    ok(guest_home(*create))
    (row,) = rows(guest_home, "usual")
    ok(guest_home("delete", "usual", "--yes"))
    return row["driver"]


@pytest.fixture(scope="module")
def virtiofs(boot, guest_home, shared, usual):
    """A guest that boots with a share, and has it mounted."""
    assert usual == "virtiofs", "be root, or have the virtiofsd in Rust"
    directory = shared / "over virtiofs, too"
    directory.mkdir()
    yield from mounted(boot, "v", directory, f"{directory}:src")
    assert not servers(guest_home)


@pytest.fixture(scope="module")
def ninep(boot, guest_home, shared, tiny_guest):
    """The same, by hand to a VM that was there, over 9p."""
    directory = shared / "over 9p, too"
    directory.mkdir()
    yield from mounted(boot, "n", directory, None, tiny_guest)


def mounted(boot, name, directory, option, tiny_guest=None):
    more = ()
    if tiny_guest:  # the kernel that knows 9p
        kernel = tiny_guest.kernel.with_name("vmlinuz-amd64")
        initrd = tiny_guest.initrd.with_name("initrd-amd64.gz")
        more = ("--kernel", kernel, "--initrd", initrd)
    if option:
        more += ("--share", option)
    guest = boot(name, *more, start=False)
    guest.directory = directory
    if not option:
        add = ("share", "add", name, directory / "..", "--driver", "9p")
        refused(guest.home(*add[:3], "/", *add[4:]), 5, "what it likes")
        add = ("share", "add", name, f"{directory}:src", "--driver", "9p")
        ok(guest.home(*add))
        add = ("share", "add", name, f"{directory}:look,ro", "--driver", "9p")
        ok(guest.home(*add))
    guest.start()
    row = rows(guest.home, name)[0]
    guest.mount = row["mount"].replace("/mnt", "/src")
    guest.sh(f"mkdir /src && {guest.mount}")
    yield guest
    ok(guest.home("quit", name))


@pytest.fixture(params=["virtiofs", "ninep"])
def guest(request, boot):
    # "boot" tells that these boot.
    return request.getfixturevalue(request.param)


def test_files_go_both_ways(guest):
    data = os.urandom(SIZE)
    (guest.directory / "from host").write_bytes(data)
    read = guest.exec("cat", "/src/from host")
    assert read.stdout == data
    assert guest.exec("tee", "/src/from guest", stdin=data).returncode == 0
    assert (guest.directory / "from guest").read_bytes() == data
    guest.sh("mkdir -p /src/a/b; mv '/src/from guest' /src/a/b/c")
    assert (guest.directory / "a/b/c").stat().st_size == SIZE
    (guest.directory / "a/b/c").unlink()
    assert guest.sh("ls /src/a/b") == ""
    guest.sh("rmdir -p /src/a/b 2>/dev/null || true")
    assert not (guest.directory / "a").exists()


def test_a_full_listing(guest):
    many = guest.directory / "many"
    many.mkdir()
    for number in range(1500):
        (many / f"file-{number}").touch()
    assert guest.sh("ls /src/many | wc -l") == "1500"


def test_the_machine_says_it_too(guest):
    listed = ok(guest.home("device", "list", guest.name, "-f", "json")).json
    (share, *_) = [each for each in listed if each["id"] == "share1"]
    assert share["kind"] == "shared directory"
    error = refused(
        guest.home("device", "remove", guest.name, "share1"), 4, "share1"
    )
    assert "share remove" in error


def test_its_ram(guest):
    """QEMU 10 and the virtiofsd in Rust save that of a share, too."""
    version = ok(guest.home("qmp", guest.name, "query-version")).json
    if guest.name == "v" and version["qemu"]["major"] >= 10:
        guest.sh("echo kept >/src/kept")
        ok(guest.home("snapshot", "create", guest.name, "ram"))
        ok(guest.home("save", guest.name))
        ok(guest.home("start", guest.name))
        assert guest.sh("cat /src/kept") == "kept"
        ok(guest.home("snapshot", "revert", guest.name, "ram", "--yes"))
        assert guest.sh("cat /src/kept; ls -d /src") == "kept\n/src"
    else:
        for words in (("snapshot", "create"), ("save",)):
            result = guest.home(*words, guest.name)
            refused(result, 4, "can't be saved")
    ok(guest.home("snapshot", "create", guest.name, "--external"))
    assert guest.sh("ls -d /src") == "/src"


def test_what_waits_for_the_next_start(guest, shared):
    ok(guest.home("share", "add", guest.name, f"{shared}:late,ro"))
    (late,) = [
        row for row in rows(guest.home, guest.name) if row["tag"] == "late"
    ]
    assert late["problem"] == "from the next start on"
    assert late["read_only"] is True
    ok(guest.home("share", "remove", guest.name, "late"))
    removed = ok(guest.home("share", "remove", guest.name, "src", "--dry-run"))
    assert "until it is shut down" not in removed.out
    assert rows(guest.home, guest.name)[0]["tag"] == "src"


def test_read_only(ninep):
    mount = rows(ninep.home, ninep.name)[1]["mount"].replace("/mnt", "/look")
    ninep.sh(f"mkdir /look; {mount}; mount -o remount,rw /look || true")
    (ninep.directory / "seen").write_text("by the guest")
    assert ninep.sh("cat /look/seen") == "by the guest"
    said = ninep.sh("touch /look/x 2>&1 || true")
    assert "Read-only" in said
    assert not (ninep.directory / "x").exists()


def test_9p_lets_go(ninep):
    """Unmounted, the RAM can be saved again."""
    ninep.sh("umount /src; umount /look 2>/dev/null; sync")
    ok(ninep.home("snapshot", "create", ninep.name, "quiet"))
    ninep.sh(ninep.mount)


def test_more_memory_is_shared_too(virtiofs):
    guest = virtiofs
    ok(guest.home("memory", "set", guest.name, "1536M"))
    online = "for f in /sys/devices/system/memory/memory*/state; do"
    online += " echo online >$f; done 2>/dev/null; grep MemTotal /proc/meminfo"
    guest.until(
        lambda: int(guest.sh(online).split()[1]) > 1_200_000,
        "the guest's new memory",
    )
    # What is read into the page cache fills the new memory as well.
    (guest.directory / "much").write_bytes(os.urandom(1 << 20) * 400)
    here = subprocess.run(
        ["md5sum", guest.directory / "much"], capture_output=True, text=True
    )
    there = guest.sh("md5sum /src/much")
    assert there.split()[0] == here.stdout.split()[0]
    (guest.directory / "much").unlink()


def test_a_reboot(virtiofs):
    guest = virtiofs
    ok(guest.home("reboot", guest.name))
    ok(guest.home("wait", guest.name, "--for", "agent"))
    guest.sh(f"mkdir -p /src; {guest.mount}")
    (guest.directory / "after").write_text("the reboot")
    assert guest.sh("cat /src/after") == "the reboot"


def test_it_ends_with_qemu_however_that_ends(virtiofs):
    guest = virtiofs
    assert servers(guest.home)
    pid = int(guest.paths.pid_file.read_text())
    os.kill(pid, signal.SIGKILL)
    guest.until(lambda: not servers(guest.home), "the end of virtiofsd")
    guest.start()
    guest.sh(f"mkdir -p /src; {guest.mount}")


def test_its_server_is_killed(virtiofs):
    """The guest's file system hangs; the VM does not."""
    guest = virtiofs
    for pid in servers(guest.home):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    done = guest.exec("ls", "/src", options=("--timeout", "2s"))
    assert done.returncode != 0
    (row,) = guest.home("list", guest.name, "-f", "json").json
    assert row["state"] == "running"
    assert guest.sh("echo alive") == "alive"
    guest.home("quit", guest.name)
    guest.start()
    guest.sh(f"mkdir -p /src; {guest.mount}; ls /src")


@pytest.fixture
def stopped(guest_home):
    ok(guest_home("create", "stopped", "--accel", "tcg", "--memory", "64M"))
    yield guest_home
    guest_home("quit", "stopped")
    guest_home("delete", "stopped", "--yes")


def test_what_can_not_be(stopped, shared):
    home = stopped
    add = ("share", "add", "stopped")
    refused(home(*add, shared / "nothing"), 3, "there is no directory")
    refused(home(*add, "/etc/passwd"), 2, "is no directory")
    refused(home(*add, f"{shared}:a/b"), 2, "is no tag")
    refused(home(*add, home.directory), 5, "run what it likes")
    ok(home(*add, f"{shared}:tag"))
    refused(home(*add, f"{shared}:tag"), 4, "as 'tag' already")
    error = refused(home("share", "remove", "stopped", "tga"), 3, "'tga'")
    assert "did you mean tag?" in error
    double = ("--share", f"{shared}:a", "--share", f"{shared}:a")
    refused(home("create", "x", *double), 2, "the tag 'a' is used twice")
    hello = home("device", "add", "stopped", "virtio-9p-pci")
    assert "share add" in refused(hello, 2, "no device of its own")
    bare = home("create", "x", "--profile", "bare", "--share", shared)
    assert bare.rc == 2, bare.err


def test_a_directory_that_is_gone(stopped, shared):
    directory = shared / "gone"
    directory.mkdir()
    ok(stopped("share", "add", "stopped", directory))
    directory.rmdir()
    assert rows(stopped, "stopped")[0]["problem"] == (
        "the directory is not there"
    )
    error = refused(stopped("start", "stopped"), 3, str(directory))
    assert "share remove stopped gone" in error
    ok(stopped("share", "remove", "stopped", "gone"))
    ok(stopped("start", "stopped"))


def test_a_server_that_does_not_start(stopped, shared, tmp_path):
    program = tmp_path / "virtiofsd"
    program.write_text(
        "#!/bin/sh\ncase $1 in --help) echo --shared-dir;; "
        "*) echo no rights; exit 1;; esac\n"
    )
    program.chmod(0o755)
    setting = {"QEMU_CLI_CONFIG_QEMU_PATH": str(tmp_path)}
    for tool in ("qemu-system-x86_64", "qemu-img"):
        found = subprocess.run(
            ["sh", "-c", f"command -v {tool}"], capture_output=True, text=True
        )
        (tmp_path / tool).symlink_to(found.stdout.strip())
    add = ("share", "add", "stopped", f"{shared}:s", "--driver", "virtiofs")
    ok(stopped(*add, environment=setting))
    refused(stopped("start", "stopped", environment=setting), 1, "no rights")
    (row,) = stopped("list", "stopped", "-f", "json").json
    assert row["state"] == "stopped"
    ok(stopped("share", "remove", "stopped", "s"))
    ok(stopped("start", "stopped"))


def test_a_clone_has_it_too(stopped, shared):
    ok(stopped("share", "add", "stopped", f"{shared}:s"))
    ok(stopped("clone", "stopped", "other"))
    assert [row["vm"] for row in rows(stopped) if row["tag"] == "s"] == [
        *("other", "stopped"),
    ]
    ok(stopped("delete", "other", "--yes"))


def test_a_definition_that_is_broken_hides_no_other(stopped, shared):
    ok(stopped("share", "add", "stopped", f"{shared}:s"))
    ok(stopped("create", "broken", "--accel", "tcg"))
    file = stopped.paths.instance("broken").definition
    kept = file.read_text()
    file.write_text("format = [")
    listed = ok(stopped("share", "list", "-f", "json"))
    assert [row["vm"] for row in listed.json if row["tag"] == "s"] == [
        "stopped"
    ]
    assert "broken: " in listed.err
    file.write_text(kept)
    ok(stopped("delete", "broken", "--yes"))


#: The keys of ``-f json``, and what each is; only ever added to.
SCHEMA = {
    **dict.fromkeys(("vm", "tag", "directory", "driver"), str),
    "read_only": bool,
    "mount": str,
    "problem": type(None),
}


def test_what_programs_read(stopped, shared):
    ok(stopped("share", "add", "stopped", f"{shared}:s"))
    (row,) = rows(stopped, "stopped")
    assert {key: type(value) for key, value in row.items()} == SCHEMA
    assert row["directory"] == str(shared)
    planned = ok(
        stopped("share", "add", "stopped", f"{shared}:t", "-f", "json")
    ).json
    assert planned["tag"] == "t"
    assert planned["waits"] is False
