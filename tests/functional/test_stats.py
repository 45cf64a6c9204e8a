"""stats: what VMs use, whoever started them."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from qemu_cli.testing.home import QemuHome
from qemu_cli.testing.real_qemu import RealQemu
from tests.functional.bare import BareVM
from tests.functional.until import until

#: Jumps to itself: a guest that takes all the CPU it gets.
SPIN = b"\xeb\xfe".ljust(510, b"\0") + b"\x55\xaa"

RATES = (
    "disk_read_bytes_s",
    "disk_write_bytes_s",
    "disk_read_ops_s",
    "disk_write_ops_s",
)


@pytest.fixture
def busy(real_qemu: Callable[..., RealQemu], short_dir: Path) -> RealQemu:
    """A VM that somebody else started, and that never rests."""
    disk = short_dir / "spin.raw"
    disk.write_bytes(SPIN)
    qemu = real_qemu(
        *("-machine", "pc", "-accel", "tcg", "-m", "64"),
        *("-name", "spin,debug-threads=on"),
        *("-drive", f"file={disk},format=raw,if=ide,id=boot"),
    )
    # The firmware takes its time until it boots.
    end = time.monotonic() + 60
    while not has_read(qemu):
        assert time.monotonic() < end
        time.sleep(0.1)
    return qemu


def has_read(qemu: RealQemu) -> bool:
    """Whether its boot sector has been read."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(60)
        client.connect(qemu.addresses[0])
        stream = client.makefile("rw")
        for command in ("qmp_capabilities", "query-blockstats"):
            stream.write(json.dumps({"execute": command, "id": command}))
            stream.flush()
        for line in stream:
            reply = json.loads(line)
            if reply.get("id") == "query-blockstats":
                [disk] = reply["return"]
                return bool(disk["stats"]["rd_bytes"])
    raise AssertionError("QEMU has ended")


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def rows(home: QemuHome, *words: str) -> dict[str, dict[str, Any]]:
    result = home("stats", "-f", "json", *words)
    assert result.rc == 0, result.err
    return {row["name"]: row for row in result.json}


def start(home: QemuHome, name: str, *options: str | Path) -> BareVM:
    made = home(
        *("create", name, "--accel", "tcg", "--nic", "none"),
        *("--memory", "64M", "--start", *options),
    )
    assert made.rc == 0, made.err
    return BareVM(home, name)


def test_what_a_guest_writes_to_its_disk(qemu_home: QemuHome) -> None:
    vm = start(qemu_home, "web", "--disk", "16M")
    words = ("stats", "web", "--interval", "3s", "-f", "json")
    with subprocess.Popen(
        [qemu_home.executable, *words],
        env=qemu_home.environment,
        stdout=subprocess.PIPE,
    ) as stats:
        while stats.poll() is None:
            # Counted as a guest's are, which `write` is not.
            vm.as_guest("aio_write -P 7 0 256k")
            time.sleep(0.1)
        assert stats.stdout is not None
        [row] = json.load(stats.stdout)
    [disk] = row["disks"]
    assert disk["id"] == "disk0"
    assert row["disk_write_bytes_s"] == disk["write_bytes_s"] > 256 << 10
    ops_s = row["disk_write_ops_s"]
    assert row["disk_write_bytes_s"] / ops_s == pytest.approx(256 << 10, 0.01)
    assert row["memory_bytes"] == 64 << 20
    assert row["interval_s"] == pytest.approx(3, abs=1)
    assert row["nics"] is row["net_in_bytes_s"] is None
    assert row["exits_s"] is None  # only KVM counts them


def test_cpu_and_memory_of_one_that_others_started(
    qemu_home: QemuHome, busy: RealQemu
) -> None:
    row = rows(qemu_home, f"pid:{busy.pid}")["spin"]
    assert row["origin"] == "hand"
    [vcpu] = row["vcpus"]
    assert 10 < vcpu["cpu_percent"] <= row["cpu_percent"] < 200
    assert 16 << 20 < row["rss_bytes"] < 1 << 30
    assert row["memory_bytes"] == 64 << 20
    assert [disk["id"] for disk in row["disks"]] == ["boot"]


def test_while_its_monitor_is_held(
    qemu_home: QemuHome, busy: RealQemu
) -> None:
    with socket.socket(socket.AF_UNIX) as holder:
        holder.connect(busy.addresses[0])
        holder.recv(1000)
        row = rows(qemu_home, f"pid:{busy.pid}")["spin"]
    assert row["cpu_percent"] > 10
    assert row["vcpus"][0]["cpu_percent"] > 10  # by its thread's name
    assert row["memory_bytes"] == 64 << 20  # by its command line
    assert row["disks"] is None
    assert [row[name] for name in RATES] == [None] * 4


def test_stopped_by_a_signal_it_holds_up_nobody(
    qemu_home: QemuHome, busy: RealQemu
) -> None:
    start(qemu_home, "web", "--disk", "1M")
    with stopped(busy.pid):
        begin = time.monotonic()
        found = rows(qemu_home, "web", f"pid:{busy.pid}")
        took_s = time.monotonic() - begin
    assert found["spin"]["state"] == "unresponsive"
    assert found["spin"]["cpu_percent"] == 0
    assert found["spin"]["disks"] is None
    assert found["web"]["disk_read_bytes_s"] == 0
    # Nobody was waited for: that would take probe.timeout more.
    assert 1 <= found["web"]["interval_s"] < 1.5
    assert took_s < 10


def opens(pid: int) -> bool:
    """Whether a process waits in openat(2), on x86-64 or ARM."""
    call = Path(f"/proc/{pid}/syscall").read_text().split()[0]
    return call in ("257", "56")


def test_a_silent_one_is_waited_for_once(
    qemu_home: QemuHome, real_qemu: Callable[..., RealQemu], short_dir: Path
) -> None:
    qemu = real_qemu("-machine", "pc", "-m", "16", monitors=2)
    fifo = short_dir / "fifo"
    os.mkfifo(fifo)
    start(qemu_home, "web", "--disk", "1M")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(qemu.addresses[0])
        stream = client.makefile("w")
        # Its main loop waits for a reader of the FIFO.
        for command, arguments in (
            ("qmp_capabilities", {}),
            ("pmemsave", {"val": 0, "size": 1, "filename": str(fifo)}),
        ):
            message = {"execute": command, "arguments": arguments}
            stream.write(json.dumps(message) + "\n")
        stream.flush()
        until(lambda: opens(qemu.pid))
    result = qemu_home(
        *("stats", "web", f"pid:{qemu.pid}", "--watch", "--for", "3s"),
        *("-f", "ndjson"),
    )
    assert result.rc == 0, result.err
    found = [json.loads(line) for line in result.out.splitlines()]
    theirs = [row for row in found if row["origin"] == "hand"]
    assert {row["state"] for row in theirs} == {"unresponsive"}
    assert all(row["rss_bytes"] for row in theirs)
    ours = [row["interval_s"] for row in found if row["name"] == "web"]
    # The first look waits for its answer, the others do not.
    assert len(ours) >= 2
    assert ours[-1] < 1.5


def test_without_a_name_all_that_run(qemu_home: QemuHome) -> None:
    start(qemu_home, "web")
    made = qemu_home("create", "off", "--accel", "tcg")
    assert made.rc == 0, made.err
    assert list(rows(qemu_home)) == ["web"]
    found = rows(qemu_home, "*")
    assert found["off"]["state"] == "stopped"
    assert {found["off"][name] for name in ("pid", "cpu_percent")} == {None}


def test_others_are_among_all_unless_the_setting_says_no(
    qemu_home: QemuHome, busy: RealQemu
) -> None:
    result = qemu_home(
        *("stats", "-f", "json"),
        environment={"QEMU_CLI_CONFIG_LIST_FOREIGN": "yes"},
    )
    assert busy.pid in [row["pid"] for row in result.json]
    assert rows(qemu_home) == {}


def test_one_that_ends_meanwhile(qemu_home: QemuHome, busy: RealQemu) -> None:
    start(qemu_home, "web")
    words = ("stats", "web", f"pid:{busy.pid}", "--watch", "-f", "ndjson")
    with subprocess.Popen(
        [qemu_home.executable, *words],
        env=qemu_home.environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as stats:
        assert stats.stdout is not None
        seen = [json.loads(stats.stdout.readline()) for _ in range(2)]
        assert [row["name"] for row in seen] == ["web", "spin"]
        busy.process.kill()
        busy.process.wait()
        killed = qemu_home("kill", "web")
        assert killed.rc == 0, killed.err
        rest = (json.loads(line) for line in stats.stdout)
        last = next(row for row in rest if row["state"] == "stopped")
        assert last["name"] == "web"
        assert next(rest)["name"] == "web"  # and the other is gone
        stats.send_signal(signal.SIGINT)
        assert stats.wait(30) == 130


def test_a_table_fits_80_columns(qemu_home: QemuHome) -> None:
    start(qemu_home, "a-long-name-x")
    header, line = qemu_home("stats").out.splitlines()
    assert header.split() == [
        *("NAME", "STATE", "CPU", "RSS", "DISK", "READ", "DISK", "WRITE"),
        *("NET", "IN", "NET", "OUT"),
    ]
    assert re.match(r"a-long-name-x +\w+ +[\d.]+% +[\d.]+ MiB", line)
    assert max(len(header), len(line)) <= 80


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("nope",), 3, "no VM 'nope'"),
        (("--interval", "0"), 2, "--interval must be"),
        (("--interval", "1s", "--for", "500ms"), 2, "is over before"),
        (("--columns", "cpu"), 2, "no column 'cpu'"),
        (("--sort", "nme"), 2, "did you mean name?"),
        (("--watch", "-f", "json"), 2, "-f ndjson"),
        (("--for", "9s", "--plot", "x.gif"), 2, ".png or .svg"),
        (("--plot", "x.png"), 2, "--for"),
        (("--for", "9s", "--plot", "/nowhere/x.png"), 1, "/nowhere"),
    ],
)
def test_mistakes_are_told_before_the_time_is_spent(
    qemu_home: QemuHome, words: tuple[str, ...], code: int, said: str
) -> None:
    begin = time.monotonic()
    result = qemu_home("stats", *words)
    assert result.rc == code
    assert said in result.err
    assert result.out == ""
    assert time.monotonic() - begin < 8


@pytest.mark.parametrize(
    ("name", "begins"), [("x.png", b"\x89PNG\r\n"), ("x.SVG", b"<?xml")]
)
def test_a_picture(
    qemu_home: QemuHome, tmp_path: Path, name: str, begins: bytes
) -> None:
    start(qemu_home, "web", "--disk", "1M")
    file = tmp_path / name
    words = ("--for", "1s", "--interval", "200ms", "--plot", str(file))
    result = qemu_home("stats", *words)
    assert (result.rc, result.out) == (0, "")
    assert re.search(r": 1 VM, [456] samples", result.err)
    assert file.read_bytes().startswith(begins)


def test_a_picture_of_nothing(qemu_home: QemuHome, tmp_path: Path) -> None:
    file = tmp_path / "x.png"
    words = ("--for", "300ms", "--interval", "100ms", "--plot", str(file))
    result = qemu_home("stats", *words)
    assert result.rc == 1
    assert "nothing to draw" in result.err
    assert not file.exists()
