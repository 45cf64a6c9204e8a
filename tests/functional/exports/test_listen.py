"""nbd-export --listen: clients elsewhere, with TLS and without."""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from urllib.parse import quote

import pytest

from qemu_cli.instance.exports import records
from qemu_cli.steps.daemon import running
from qemu_cli.testing.home import QemuHome
from tests.functional.until import until

SMALL = ("--memory", "64M", "--accel", "tcg", "--nic", "none")
TIMEOUT_S = 60.0


def run(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        words, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


def reads(uri: str, pattern: int) -> bool:
    """Copy it with libnbd's client; whether the first MiB is so."""
    return run("nbdcopy", uri, "-").stdout[: 1 << 20] == chr(pattern) * (
        1 << 20
    )


def port_of(uri: str) -> int:
    match = re.search(r":(\d+)/", uri)
    assert match, uri
    return int(match[1])


@pytest.fixture
def web(qemu_home: QemuHome) -> QemuHome:
    """A home with a VM of two disks, the first full of As."""
    disks = ("--disk", "8M", "--disk", "8M")
    done = qemu_home("create", "web", *disks, *SMALL)
    assert done.rc == 0, done.err
    image = qemu_home.paths.instance("web").directory / "disk0.qcow2"
    written = run("qemu-io", "-c", "write -P 65 0 8M", image)
    assert written.returncode == 0
    return qemu_home


def uris(home: QemuHome, *options: str | Path) -> list[str]:
    words = ("--listen", "127.0.0.1:0", *options)
    done = home("nbd-export", "web", *words)
    assert done.rc == 0, done.err
    return done.out.split()


def assert_nothing_left(home: QemuHome) -> None:
    paths = home.paths.instance("web")
    assert not list(paths.exports.glob("*"))
    assert not list(paths.runtime.glob("nbd-*"))
    assert not list(paths.runtime.glob("qmp-*"))


@contextmanager
def reading(uri: str) -> Iterator[None]:
    """A client that stays connected."""
    with Popen(
        ["qemu-io", "-r", "-f", "raw", uri],
        stdin=PIPE,
        stdout=PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            process.stdin.write("read 0 512\n")
            process.stdin.flush()
            while "read 512/512" not in process.stdout.readline():
                assert process.poll() is None
            yield
        finally:
            process.kill()


def test_a_stopped_vm(web: QemuHome) -> None:
    first, second = uris(web)
    port = port_of(first)
    assert first == f"nbd://127.0.0.1:{port}/disk0"
    assert second == f"nbd://127.0.0.1:{port}/disk1"
    assert reads(first, 65)
    assert reads(second, 0)
    # Nobody else is listened to.
    listening = [
        line.split()[3]
        for line in run("ss", "-Htln").stdout.splitlines()
        if line.split()[3].endswith(f":{port}")
    ]
    assert listening == [f"127.0.0.1:{port}"]
    taken = web(
        "nbd-export", "web", "disk0", "--name", "x", "--listen", f":{port}"
    )
    assert taken.rc == 4
    assert "port 0 picks a free one" in taken.err
    # The one that listens goes on for the other.
    assert web("export", "stop", "web", "disk0").rc == 0
    assert run("nbdinfo", "--size", first).returncode != 0
    assert reads(second, 0)
    with reading(second):
        busy = web("export", "stop", "web")
        assert busy.rc == 6
        assert "still in use" in busy.err
        assert web("export", "stop", "web", "--hard").rc == 0
    assert_nothing_left(web)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_a_running_vm(web: QemuHome) -> None:
    assert web("start", "web").rc == 0
    first, second = uris(web)
    assert reads(first, 65)
    assert reads(second, 0)
    assert web("export", "stop", "web", "disk1").rc == 0
    assert reads(first, 65)
    assert web("export", "stop", "web").rc == 0
    assert_nothing_left(web)
    # When QEMU ends, nobody listens for it any more.
    (first,) = uris(web, "disk0")
    assert web("kill", "web").rc == 0
    assert web("start", "web").rc == 0
    assert_nothing_left(web)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port_of(first)))
    assert web("kill", "web").rc == 0


def test_writes_arrive(web: QemuHome) -> None:
    (uri,) = uris(web, "disk0", "--writable")
    written = run("qemu-io", "-f", "raw", "-c", "write -P 66 0 8M", uri)
    assert written.returncode == 0
    assert reads(uri, 66)
    assert web("export", "stop", "web").rc == 0
    image = web.paths.instance("web").directory / "disk0.qcow2"
    seen = run("qemu-io", "-r", "-c", "read -P 66 0 8M", image)
    assert "failed" not in seen.stdout


@pytest.mark.parametrize("state", ["stopped", "running"])
def test_more_clients_than_allowed_wait(web: QemuHome, state: str) -> None:
    if state == "running":
        assert web("start", "web").rc == 0
    (uri,) = uris(web, "disk0", "--max-connections", "1")
    with ExitStack() as stack:
        first = stack.enter_context(ExitStack())
        first.enter_context(reading(uri))
        second = stack.enter_context(
            Popen(["nbdinfo", "--size", uri], stdout=PIPE)
        )
        stack.callback(second.kill)
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(1.0)
        first.close()
        assert second.wait(TIMEOUT_S) == 0


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pre-shared keys, and certificates of a CA, a server and a client."""
    directory = tmp_path_factory.mktemp("k e,ys")
    for name in ("right.psk", "wrong.psk"):
        made = run("psktool", "-u", "alice", "-p", directory / name)
        assert made.returncode == 0, made.stderr
    made = run("psktool", "-u", "bob", "-p", directory / "right.psk")
    assert made.returncode == 0, made.stderr
    templates = {
        "ca": "cn=CA of a test\nca\ncert_signing_key\n",
        "server": "cn=localhost\ndns_name=localhost\nip_address=127.0.0.1\n"
        "tls_www_server\nencryption_key\nsigning_key\n",
        "client": "cn=client\ntls_www_client\nencryption_key\nsigning_key\n",
    }
    for who, template in templates.items():
        key, certificate = (
            directory / f"{who}-{what}.pem" for what in ("key", "cert")
        )
        (directory / f"{who}.txt").write_text(template)
        made = run("certtool", "--generate-privkey", "--ecc", "--outfile", key)
        assert made.returncode == 0, made.stderr
        ca = ("--load-ca-privkey", directory / "ca-key.pem")
        ca += ("--load-ca-certificate", directory / "ca-cert.pem")
        made = run(
            "certtool",
            *(("--generate-self-signed",) if who == "ca" else ()),
            *(("--generate-certificate", *ca) if who != "ca" else ()),
            *("--load-privkey", key, "--template", directory / f"{who}.txt"),
            *("--outfile", certificate),
        )
        assert made.returncode == 0, made.stderr
    return directory


def test_a_key_that_both_know(web: QemuHome, keys: Path) -> None:
    (uri,) = uris(web, "disk0", "--tls-psk", keys / "right.psk")
    assert uri.startswith("nbds://alice@127.0.0.1:")
    assert reads(uri, 65)
    assert reads(uri.replace("alice@", "bob@"), 65)
    wrong = run("nbdinfo", uri.replace("right.psk", "wrong.psk"))
    assert wrong.returncode != 0
    assert "TLS" in wrong.stderr
    plain = run("nbdinfo", f"nbd://127.0.0.1:{port_of(uri)}/disk0")
    assert plain.returncode != 0
    # The key itself is nowhere: not in an argv, a record or a history.
    secret = (keys / "right.psk").read_text().splitlines()[0].split(":")[1]
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert secret.encode() not in process.read_bytes()
        except OSError:
            continue
    for file in web.directory.rglob("*"):
        if file.is_file() and not file.is_symlink():
            assert secret.encode() not in file.read_bytes(), file
    assert web("export", "stop", "web").rc == 0
    assert_nothing_left(web)
    assert (keys / "right.psk").exists()


def test_from_other_hosts(web: QemuHome, keys: Path) -> None:
    """All addresses, with TLS; and IPv6, on a running VM."""
    psk = ("--tls-psk", keys / "right.psk")
    (uri,) = uris(web, "disk0", *psk, "--listen", "0.0.0.0:0")
    at = uri.partition("@")[2].partition("/")[0]
    here = run("hostname", "-I").stdout.split()
    for address in ("127.0.0.1", *here[:1]):
        assert reads(uri.replace(at, f"{address}:{port_of(uri)}"), 65)
    assert web("export", "stop", "web").rc == 0
    assert web("start", "web").rc == 0
    (uri,) = uris(web, "disk0", "--listen", "[::1]:0")
    assert uri.startswith("nbd://[::1]:")
    assert reads(uri, 65)
    assert web("kill", "web").rc == 0


def test_certificates(web: QemuHome, keys: Path, tmp_path: Path) -> None:
    (uri,) = uris(web, "disk0", "--tls-x509", keys)
    assert uri == f"nbds://127.0.0.1:{port_of(uri)}/disk0"
    assert reads(f"{uri}?tls-certificates={quote(str(keys))}", 65)
    # Who has none of our CA's is not let in, though it trusts us.
    (tmp_path / "ca-cert.pem").write_bytes((keys / "ca-cert.pem").read_bytes())
    stranger = run("nbdinfo", f"{uri}?tls-certificates={tmp_path}")
    assert stranger.returncode != 0
    assert web("export", "stop", "web").rc == 0
    assert_nothing_left(web)


@pytest.mark.parametrize(
    ("options", "rc", "words"),
    [
        (("--listen", "0.0.0.0:0"), 2, "without TLS"),
        (("--listen", "192.0.2.1:0", "--tls-psk", "{keys}"), 2, "no address"),
        (("--listen", "nonsense"), 2, "HOST:PORT"),
        (("--listen", ":0", "--tls-psk", "/none"), 3, "psktool -u"),
        (("--listen", ":0", "--tls-psk", "/etc/passwd"), 2, "USER:KEY"),
        (("--listen", ":0", "--tls-x509", "/etc"), 3, "has no ca-cert.pem"),
        (("--tls-psk", "{keys}"), 2, "without --listen"),
        (("--max-connections", "2"), 2, "without --listen"),
        (("--listen", ":0", "--max-connections", "0"), 2, "at least one"),
    ],
)
def test_what_is_refused(
    web: QemuHome,
    keys: Path,
    options: tuple[str, ...],
    rc: int,
    words: str,
) -> None:
    given = [o.replace("{keys}", f"{keys}/right.psk") for o in options]
    refused = web("nbd-export", "web", "disk0", *given)
    assert refused.rc == rc, refused.err
    assert words in refused.err
    assert_nothing_left(web)


def test_the_one_that_listens_is_killed(web: QemuHome) -> None:
    assert web("start", "web").rc == 0
    uris(web, "disk0")
    paths = web.paths.instance("web")
    (export,) = records.read(paths)
    assert export.listener
    (process,) = running(str(paths.daemon_pid_file(export.listener)))
    os.kill(process.pid, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{process.pid}").exists())
    again = web("nbd-export", "web", "disk0")
    assert again.rc == 0
    assert "disk0 is served no more" in again.err
    assert len(records.read(paths)) == 1
    assert web("export", "stop", "web").rc == 0
    assert_nothing_left(web)
    assert web("kill", "web").rc == 0
