"""qemu guest …, and the column ip of qemu list."""

import json
import signal

import pytest


def rows(guest, *words):
    """What a command says in JSON; it must not fail."""
    done = guest.qemu(*words, "-f", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def thawed(guest):
    """Whether the guest is frozen no more."""
    return not guest.agent(lambda agent: agent.is_frozen())


def test_info(guest):
    info = rows(guest, "guest", "info", "g")
    assert info["id"] == "qguest"
    assert info["host_name"] == "qguest"
    assert info["frozen"] is False
    assert "guest-exec" in info["agent_commands"]


def test_ip(guest):
    def found():
        listed = rows(guest, "guest", "ip", "g")
        return {row["name"]: row["addresses"] for row in listed}

    guest.until(lambda: "10.0.2.15/24" in found()["eth0"], "no DHCP")
    assert "127.0.0.1/8" in found()["lo"]


def test_the_column_of_list(guest, home):
    home("create", "off", "--accel", "tcg", "--memory", "64M")
    test_ip(guest)
    listed = rows(guest, "list", "--columns", "name,ip")
    ips = {row["name"]: row["ip"] for row in listed}
    assert ips["g"][0] == "10.0.2.15"
    assert ips["off"] is None
    table = guest.qemu("list", "g", "--columns", "+ip").stdout.decode()
    assert "10.0.2.15" in table


def test_users(guest):
    assert rows(guest, "guest", "users", "g") == []


def test_file_systems(guest):
    [disk] = rows(guest, "guest", "fs", "g")
    assert (disk["mountpoint"], disk["type"]) == ("/mnt", "ext4")
    assert 0 < disk["used_bytes"] < disk["total_bytes"] <= 32 << 20


def test_trim(guest):
    [row] = rows(guest, "guest", "trim", "g")
    result = row["result"]
    assert [*result["trimmed_bytes"], *result["refused"]] == ["/mnt"]


def test_time(guest):
    [row] = rows(guest, "guest", "time", "g")
    assert abs(row["result"]["off_s"]) < 3600
    guest.console("date -s 2001-01-01; ln -sf /bin/busybox /sbin/hwclock")
    [row] = rows(guest, "guest", "time", "g")
    assert row["result"]["off_s"] < -1e8
    done = guest.qemu("guest", "time", "g", "--set")
    assert done.returncode == 0, done.stderr
    [row] = rows(guest, "guest", "time", "g")
    assert abs(row["result"]["off_s"]) < 60


@pytest.fixture
def chpasswd(guest):
    """The tiny guest has none; this one keeps what it is told."""
    script = "cat >/told; echo >>/told; echo with $* >>/told"
    guest.console(
        f"mkdir -p /usr/sbin; printf '%s\\n' '#!/bin/sh' '{script}' "
        ">/usr/sbin/chpasswd; chmod +x /usr/sbin/chpasswd"
    )
    yield
    guest.console("rm -f /told /usr/sbin/chpasswd")


@pytest.mark.parametrize("way", ["stdin", "file"])
def test_set_password(guest, chpasswd, tmp_path, way):
    words = ["guest", "set-password", "g", "root"]
    secret = b"pass:w\xc3\xb6rd"
    if way == "file":
        (tmp_path / "secret").write_bytes(secret + b"\n")
        words += ["--file", tmp_path / "secret", "--crypted"]
    done = guest.qemu("--trace-qmp", *words, stdin=secret + b"\n")
    assert done.returncode == 0, done.stderr
    assert secret not in done.stderr
    told = guest.sh("cat /told").split("\n")
    assert told[0] == f"root:{secret.decode()}"
    assert ("-e" in told[-1]) == (way == "file")


@pytest.mark.parametrize("secret", [b"", b"\n", b"two\nlines\n"])
def test_no_password(guest, secret):
    words = ("guest", "set-password", "g", "root")
    done = guest.qemu(*words, stdin=secret)
    assert done.returncode == 2
    assert b"a password is one line" in done.stderr


def test_frozen_while_a_command_runs(guest, tmp_path):
    script = f"touch {tmp_path}/in; while [ -e {tmp_path}/in ]; do :; done"
    words = ("guest", "freeze", "g", "--", "sh", "-c", f"{script}; exit 6")
    with guest.begin(*words) as process:
        guest.until((tmp_path / "in").exists)
        assert not thawed(guest)
        (tmp_path / "in").unlink()
        _, err = process.communicate(timeout=60)
    assert process.returncode == 6, err
    assert thawed(guest)


def test_frozen_for_a_while(guest):
    done = guest.qemu("guest", "freeze", "g", "--for", "100ms")
    assert done.returncode == 0
    assert done.stderr.startswith(b"g: 1 file systems frozen; for 0.1 s\n")
    assert thawed(guest)


def test_no_such_command_thaws(guest):
    done = guest.qemu("guest", "freeze", "g", "--", "/nosuch")
    assert done.returncode == 3
    assert thawed(guest)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL])
def test_ended_while_frozen(guest, signum):
    """With kill -9 the guardian thaws it."""
    with guest.begin("guest", "freeze", "g") as process:
        assert b"1 file systems frozen" in process.stderr.readline()
        assert not thawed(guest)
        process.send_signal(signum)
        process.communicate(timeout=60)
    code = 130 if signum == signal.SIGINT else -signum
    assert process.returncode == code
    guest.until(lambda: thawed(guest), "still frozen")


def test_the_core_thaws(guest):
    """``guest thaw`` is the core's, and stands beside ours."""
    assert guest.agent(lambda agent: agent.freeze()) == 1
    done = guest.qemu("guest", "thaw", "g")
    assert done.returncode == 0, done.stderr
    assert thawed(guest)
    shown = guest.qemu("guest").stdout
    assert b"thaw" in shown and b"freeze" in shown
