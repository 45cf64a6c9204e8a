"""qemu cp, both ways."""

import os
import signal
import time

import pytest


@pytest.fixture
def box(guest):
    """An empty directory in the guest."""
    guest.sh("mkdir /box")
    yield "/box"
    guest.console("rm -rf /box")


def copy(guest, *words):
    """``qemu cp``, which must not fail."""
    done = guest.qemu("cp", *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout == b""
    return done.stderr.decode()


@pytest.mark.parametrize("size", [0, 1, 300_000, 3 << 20])
def test_there_and_back(guest, box, tmp_path, size):
    here = tmp_path / "a b"
    here.write_bytes(data := os.urandom(size))
    here.chmod(0o750)
    said = copy(guest, "--checksum", here, f"g:{box}/x")
    assert said.startswith("g: 1 file (") and said.endswith("/box/x\n")
    copy(guest, "--checksum", f"g:{box}/x", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data
    assert (tmp_path / "back").stat().st_mode & 0o777 == 0o750
    assert guest.sh(f"ls -A {box}") == "x"
    assert {each.name for each in tmp_path.iterdir()} == {"a b", "back"}


def test_into_a_directory(guest, box, tmp_path):
    (tmp_path / "name").write_text("x")
    copy(guest, tmp_path / "name", f"g:{box}")
    copy(guest, tmp_path / "name", f"g:{box}/")
    assert guest.sh(f"cat {box}/name") == "x"
    (tmp_path / "d").mkdir()
    copy(guest, f"g:{box}/name", tmp_path / "d")
    assert (tmp_path / "d/name").read_text() == "x"


def test_a_whole_directory(guest, box, tmp_path):
    source = tmp_path / "site"
    (source / "a b" / "ü").mkdir(parents=True)
    (source / "empty").mkdir()
    for number in range(5):
        path = source / "a b" / f"file\n{number}"
        path.write_bytes(os.urandom(number * 1000))
    (source / "a b/ü/run").write_text("#!/bin/sh\n")
    (source / "a b/ü/run").chmod(0o755)
    (source / "link").symlink_to("a b/ü/run")
    (source / "dangling").symlink_to("/nowhere")
    copy(guest, source, f"g:{box}")
    copy(guest, source, f"g:{box}")  # over the first
    copy(guest, "--checksum", f"g:{box}/site", tmp_path / "back")
    assert contents(tmp_path / "back") == contents(source)


def contents(directory):
    """All that is in a directory."""
    found = {}
    for path in directory.rglob("*"):
        name = str(path.relative_to(directory))
        if path.is_symlink():
            found[name] = path.readlink()
        elif path.is_file():
            found[name] = path.read_bytes(), path.stat().st_mode
        else:
            found[name] = None
    return found


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nosuch", "g:/x"], 3, "no file or directory nosuch"),
        (["g:/nosuch", "."], 3, "there is no /nosuch in 'g'"),
        (["g:/etc/passwd", "/nosuch/x"], 3, "no directory /nosuch"),
        (["/etc/passwd", "g:/no/such/x"], 3, "no directory for /no/such/x"),
        (["/etc/passwd", "/tmp"], 2, "one of SRC and DST"),
        (["g:/a", "g:/b"], 2, "one of SRC and DST"),
        (["g:", "/tmp"], 2, "g:: not NAME:PATH"),
        (["nosuch:/a", "/tmp"], 3, "nosuch"),
    ],
)
def test_what_makes_no_sense(guest, words, code, said):
    done = guest.qemu("cp", *words)
    assert done.returncode == code
    assert said in done.stderr.decode()


def test_a_full_disk_in_the_guest(guest, tmp_path):
    big = tmp_path / "big"
    big.write_bytes(os.urandom(3 << 20))
    guest.sh("mkdir -p /full && mount -t tmpfs -o size=1m none /full")
    try:
        guest.sh("echo old >/full/x")
        done = guest.qemu("cp", big, "g:/full/x")
        assert done.returncode == 5
        assert b"No space left on device" in done.stderr
        assert guest.sh("cat /full/x; ls -A /full") == "old\nx"
    finally:
        guest.console("umount /full")


def test_a_full_disk_here(guest, box, tmp_path):
    guest.sh("dd if=/dev/zero of=/box/big bs=1M count=2 2>/dev/null")
    full = tmp_path / "full"
    full.symlink_to("/dev/full")  # a link: no test may replace that
    done = guest.qemu("cp", "g:/box/big", full)
    assert done.returncode == 1
    assert b"No space left on device" in done.stderr
    assert full.is_char_device()


def test_a_device_stays_one(guest, tmp_path):
    null = tmp_path / "null"
    null.symlink_to("/dev/null")
    copy(guest, "g:/etc/passwd", null)
    assert null.is_char_device()
    copy(guest, "/etc/passwd", "g:/dev/null")
    assert guest.sh("[ -c /dev/null ] && echo device") == "device"


@pytest.mark.parametrize("into", [True, False])
def test_ctrl_c_in_the_middle(guest, box, tmp_path, into):
    here = tmp_path / "here"
    there = f"{box}/there"
    here.write_text("old")
    guest.sh(f"echo old >{there}")
    if into:
        big = tmp_path / "big"
        big.write_bytes(os.urandom(40 << 20))
        words = ("cp", big, f"g:{there}")
    else:
        guest.sh(f"dd if=/dev/zero of={box}/big bs=1M count=90 2>/dev/null")
        words = ("cp", f"g:{box}/big", here)
    with guest.begin(*words) as process:
        part = "ls -A /box | grep -c '[.]qemu-'"
        if into:
            guest.until(lambda: "\n1\n" in guest.console(part))
        else:
            guest.until(lambda: list(tmp_path.glob(".here.qemu-*")))
        code, out, err = guest.interrupt(process)
    assert (code, out) == (130, b""), err
    assert guest.sh(f"cat {there}; {part} || :") == "old\n0"
    assert here.read_text() == "old"
    assert not list(tmp_path.glob(".here*"))


def test_others_reach_the_agent_meanwhile(guest, box, tmp_path):
    big = tmp_path / "big"
    big.write_bytes(data := os.urandom(6 << 20))
    with guest.begin("cp", big, f"g:{box}") as process:
        answers = 0
        while process.poll() is None:
            answers += guest.sh("echo here") == "here"
            time.sleep(0.1)
    assert process.returncode == 0
    assert answers
    copy(guest, f"g:{box}/big", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data


def test_what_changes_meanwhile_is_told(guest, box, tmp_path):
    guest.sh(f"dd if=/dev/zero of={box}/big bs=1M count=16 2>/dev/null")
    words = ("cp", "--checksum", f"g:{box}/big", tmp_path / "back")
    with guest.begin(*words) as process:
        guest.until(
            lambda: any(p.stat().st_size for p in tmp_path.glob(".back*"))
        )
        process.send_signal(signal.SIGSTOP)  # it has read the beginning
        guest.console(f"echo 1 | dd of={box}/big conv=notrunc 2>/dev/null")
        process.send_signal(signal.SIGCONT)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    assert b"is not the same" in err
    assert not (tmp_path / "back").exists()
