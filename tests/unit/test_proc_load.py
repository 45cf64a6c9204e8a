"""proc.load: on a fake tree, and on real processes."""

import subprocess

import pytest

from qemu_cli.proc import PAGE_BYTES, TICKS_PER_S, Process, ProcFS, load

NET_DEV = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes ...
    lo: 10 1 0 0 0 0 0 0 10 1 0 0 0 0 0 0
  tap0:123456789012 5 0 0 0 0 0 0 42 7 0 0 0 0 0 0
"""


def stat(name, cpu=(0, 0), start_time=5000, rss=0):
    fields = ["S"] + ["0"] * 49
    fields[11], fields[12] = map(str, cpu)
    fields[19], fields[21] = str(start_time), str(rss)
    return f"7 ({name}) {' '.join(fields)}\n"


@pytest.fixture
def seven(tmp_path):
    """Process 7 of a /proc of our own: its Process, and its directory."""
    directory = tmp_path / "7"
    for name in ("task/8", "task/9", "fd", "fdinfo", "net"):
        (directory / name).mkdir(parents=True)
    (directory / "stat").write_text(
        stat("q) S (", (2 * TICKS_PER_S, TICKS_PER_S), rss=3)
    )
    (directory / "net/dev").write_text(NET_DEV)
    return ProcFS(tmp_path), Process(7, 5000, "S", ()), directory


def test_cpu_and_memory(seven):
    procfs, process, _ = seven
    assert load.load(procfs, process) == (3.0, 3 * PAGE_BYTES)


def test_another_process_of_the_same_pid_is_not_taken_for_it(seven):
    procfs, process, _ = seven
    assert load.load(procfs, process._replace(start_time=1)) is None
    assert load.load(procfs, process._replace(pid=1)) is None


def test_threads(seven):
    procfs, process, directory = seven
    for thread, name in ((8, "CPU 1/KVM"), (9, "CPU 0/KVM")):
        task = directory / f"task/{thread}"
        (task / "comm").write_text(f"{name}\n")
        (task / "stat").write_text(stat(name, (thread * TICKS_PER_S, 0)))
    (directory / "task/10").mkdir()  # ends while we look
    assert load.named_vcpus(procfs, process) == {0: 9, 1: 8}
    assert load.thread_cpu_s(procfs, process, 8) == 8.0
    assert load.thread_cpu_s(procfs, process, 77) is None


def test_taps_by_their_open_files(seven):
    procfs, process, directory = seven
    for fd, target, info in (
        (3, "/dev/null", "pos:\t0\n"),
        (4, "/dev/net/tun", "pos:\t0\niff:\ttap0\n"),
        (5, "/dev/net/tun", "pos:\t0\niff:\ttap0\n"),  # its second queue
        (6, "/dev/net/tun", "pos:\t0\n"),  # not bound to one yet
    ):
        (directory / f"fd/{fd}").symlink_to(target)
        (directory / f"fdinfo/{fd}").write_text(info)
    assert load.taps(procfs, process) == {"tap0"}
    assert load.interfaces(procfs, process)["tap0"] == (123456789012, 42)


def test_what_may_not_be_seen_is_none(tmp_path):
    procfs, process = ProcFS(tmp_path), Process(7, 5000, "S", ())
    assert load.load(procfs, process) is None
    assert load.taps(procfs, process) is None
    assert load.interfaces(procfs, process) == {}
    assert load.named_vcpus(procfs, process) == {}


def test_a_real_process():
    code = "import time; end = time.process_time() + .2\n"
    code += "while time.process_time() < end: pass\n"
    code += "print(flush=True); time.sleep(60)"
    with subprocess.Popen(
        ["python3", "-c", code], stdout=subprocess.PIPE
    ) as child:
        try:
            assert child.stdout.readline()
            procfs = ProcFS()
            process = procfs.process(child.pid)
            found = load.load(procfs, process)
            assert 0.15 <= found.cpu_s < 5
            assert 1 << 20 < found.rss_bytes < 1 << 30
            thread_s = load.thread_cpu_s(procfs, process, child.pid)
            assert thread_s == pytest.approx(found.cpu_s, abs=0.1)
            assert load.taps(procfs, process) == frozenset()
            assert "lo" in load.interfaces(procfs, process)
        finally:
            child.kill()
    assert load.load(procfs, process) is None
