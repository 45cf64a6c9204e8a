"""qemu ssh and ssh-config, and ssh where no agent is."""

import os
import subprocess

import pytest
from qemu_cli_guest import ssh


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    path = tmp_path_factory.mktemp("key") / "a key"
    words = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path)
    subprocess.run(words, check=True)
    return path


@pytest.fixture(scope="module")
def server(boot, key):
    """A guest with an ssh server that knows our key."""
    guest = boot("s", "--memory", "256M", "--forward", ":22", append="sshd")
    line = "mkdir -m 700 /root/.ssh; cat >/root/.ssh/authorized_keys"
    public = key.with_suffix(".pub").read_bytes()
    done = guest.exec("sh", "-c", line, stdin=public)
    assert done.returncode == 0, done.stderr
    words = (f"plugin.guest.ssh_key={key}", "plugin.guest.ssh_user=root")
    done = guest.qemu("set", "s", *words)
    assert done.returncode == 0, done.stderr
    return guest


@pytest.fixture
def no_agent(server):
    """Its agent has ended, and is not started again."""
    server.console("mv /usr/sbin/qemu-ga /x; killall qemu-ga")
    yield server
    server.console("mv /x /usr/sbin/qemu-ga")
    assert server.home("wait", "s", "--for", "agent").rc == 0


def test_a_command(server):
    done = server.qemu("ssh", "s", "--", "echo out; cat; exit 7", stdin=b"in")
    assert (done.returncode, done.stdout) == (7, b"out\nin")
    kept = server.paths.directory / "known_hosts"
    assert "ssh-ed25519" in kept.read_text()


def test_another_user_and_key(server, tmp_path):
    words = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f")
    subprocess.run([*words, tmp_path / "other"], check=True)
    other = ("-i", tmp_path / "other")
    done = server.qemu("ssh", "s", *other, "--", "true")
    assert done.returncode == ssh.SSH_FAILED
    assert b"Permission denied" in done.stderr


def test_config(server, tmp_path):
    done = server.qemu("ssh-config", "s")
    assert done.returncode == 0, done.stderr
    (tmp_path / "config").write_bytes(done.stdout)
    words = ("ssh", "-F", tmp_path / "config", "s", "hostname")
    said = subprocess.run(words, capture_output=True, timeout=60)
    assert said.stdout == b"qguest\n", said.stderr


def test_no_server(server, home):
    created = ("create", "mute", "--accel", "tcg", "--memory", "64M")
    assert home(*created, "--forward", ":22").rc == 0
    done = server.qemu("ssh", "mute")
    assert done.returncode == 125
    assert b"'mute' does not run" in done.stderr
    assert home("start", "mute").rc == 0
    done = server.qemu("ssh", "mute", "--timeout", "1s")
    assert done.returncode == 125
    assert b"no ssh server answers in 'mute' at 127.0.0.1:" in done.stderr
    home("kill", "mute")


def test_no_way_in(guest):
    done = guest.qemu("ssh", "g")
    assert done.returncode == 125
    assert b"no port of this host leads to port 22 of 'g'" in done.stderr
    assert b"hint: qemu set g forward=:22" in done.stderr


def test_exec_without_an_agent(no_agent):
    data = os.urandom(100_000)
    line = 'echo "$A" >&2; cat; exit 4'
    done = no_agent.qemu(
        *("exec", "s", "--env", "A=b c", "--", "sh", "-c", line), stdin=data
    )
    assert (done.returncode, done.stdout) == (4, data), done.stderr
    said = b"s: no guest agent answers; through ssh instead\n"
    assert done.stderr == said + b"b c\n"


def test_cp_without_an_agent(no_agent, tmp_path):
    source = tmp_path / "a b"
    (source / "sub").mkdir(parents=True)
    (source / "sub/file").write_bytes(data := os.urandom(200_000))
    (source / "sub/file").chmod(0o640)
    done = no_agent.qemu("cp", source, "s:/root")
    assert done.returncode == 0, done.stderr
    assert b"through ssh instead" in done.stderr
    back = tmp_path / "back"
    done = no_agent.qemu("cp", "s:/root/a b", back)
    assert done.returncode == 0, done.stderr
    assert (back / "sub/file").read_bytes() == data
    assert (back / "sub/file").stat().st_mode & 0o777 == 0o640
    done = no_agent.qemu("cp", "--checksum", "s:/root/a b/sub/file", back)
    assert done.returncode == 0, done.stderr
    assert (back / "file").read_bytes() == data
    done = no_agent.qemu("cp", back / "file", "s:/root/renamed")
    assert done.returncode == 0, done.stderr
    done = no_agent.qemu("ssh", "s", "--", "cat /root/renamed")
    assert done.stdout == data
    done = no_agent.qemu("cp", "s:/nosuch", tmp_path)
    assert done.returncode == 3
    assert b"there is no /nosuch in 's'" in done.stderr


@pytest.mark.parametrize(
    ("table", "problems"),
    [
        ({}, 0),
        ({"ssh_user": "root", "ssh_key": "~/k", "ssh_port": 22}, 0),
        ({"ssh_user": 1, "ssh_port": "22", "other": object()}, 2),
    ],
)
def test_the_table_is_checked(table, problems):
    assert len(ssh.check(table)) == problems
