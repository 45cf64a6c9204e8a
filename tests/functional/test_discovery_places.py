"""VMs in other namespaces, and other users' VMs."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from qemu_cli.proc import ProcFS
from qemu_cli.testing.real_qemu import binary
from tests.functional.by_hand import (
    NOBODY,
    NONE,
    POWERLESS,
    TIMEOUT_S,
    Foreign,
    argv_of,
    free_port,
    qmp,
    until,
)


def test_another_network(foreign: Foreign) -> None:
    """A path leads there all the same; a port or a bare name does not."""
    path = foreign.directory / "q.sock"
    port = free_port()
    alone = ("unshare", "--net")
    by_path = foreign.start(*qmp(path), prefix=alone, ready=path)
    by_name = foreign.start(
        *("-chardev", "socket,id=c,path=q,abstract=on,server=on,wait=off"),
        *("-mon", "c,mode=control"),
        prefix=alone,
    )
    by_port = foreign.start(
        "-qmp", f"tcp:127.0.0.1:{port},server=on,wait=off", prefix=alone
    )
    # What listens at the same places here is somebody else.
    with (
        socket.create_server(("127.0.0.1", port)) as other,
        socket.socket(socket.AF_UNIX) as another,
    ):
        other.settimeout(0.1)
        another.settimeout(0.1)
        another.bind("\0q")
        another.listen(5)
        for pid, address in ((by_name, "@q"), (by_port, f"127.0.0.1:{port}")):
            # It has no command line at all while it becomes QEMU.
            until(lambda pid=pid: argv_of(pid)[:1] == (binary(),))
            row = foreign.row(pid)
            assert (row["state"], row["monitor"]) == ("running", "unreachable")
            reason = f"{address} is in another network namespace"
            assert row["monitor_reason"] == reason
            refused = foreign.home("pause", f"pid:{pid}")
            assert (refused.rc, reason in refused.err) == (4, True)
        for listener in (other, another):
            with pytest.raises(TimeoutError):
                listener.accept()
    row = foreign.row(by_path)
    assert (row["state"], row["monitor"]) == ("running", "free")
    assert foreign.home("pause", f"pid:{by_path}").rc == 0
    assert foreign.row(by_path)["state"] == "paused"


#: How a QEMU comes to see other files than we do, and its socket there.
PLACES = {
    "mounted over": (
        "mount -t tmpfs none {dir}/place; cd /; exec",
        "{dir}/place/q.sock",
    ),
    "relative": (
        "mount -t tmpfs none {dir}/place; cd {dir}/place; exec",
        "q.sock",
    ),
    "another root": (
        "mount --rbind / {dir}/place; mount -t tmpfs none {dir}/place/mnt; "
        "exec chroot {dir}/place",
        "/mnt/q.sock",
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_other_files(foreign: Foreign, place: str) -> None:
    """Its path is not ours, where another program listens perhaps."""
    directory = foreign.directory
    (directory / "place").mkdir()
    script, path = (each.format(dir=directory) for each in PLACES[place])
    pid = foreign.start(
        *qmp(Path(path)),
        prefix=("unshare", "--mount", "sh", "-ec", f'{script} "$@"', "sh"),
        program=(shutil.which(binary()) or "", *NONE),
    )
    with socket.socket(socket.AF_UNIX) as decoy:
        decoy.bind(str(directory / "place" / "q.sock"))
        decoy.listen(5)
        decoy.settimeout(0.1)
        until(lambda: "qemu-system" in ProcFS().executable_name(pid))
        until(lambda: foreign.row(pid)["monitor"] == "free")
        assert foreign.home("pause", f"pid:{pid}").rc == 0
        assert foreign.row(pid)["state"] == "paused"
        assert foreign.home("resume", f"pid:{pid}").rc == 0
        assert foreign.home("quit", f"pid:{pid}").rc == 0
        with pytest.raises(TimeoutError):
            decoy.accept()


def test_other_processes(foreign: Foreign) -> None:
    """It has a pid namespace of its own, as in a container."""
    path = foreign.directory / "q.sock"
    parent = foreign.start(
        *qmp(path),
        prefix=("unshare", "--pid", "--fork", "--kill-child", "--mount-proc"),
        ready=path,
    )
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    pid = int(children)
    row = foreign.row(pid)
    assert (row["state"], row["monitor"]) == ("running", "free")
    assert foreign.home("pause", f"pid:{pid}").rc == 0
    assert foreign.row(pid)["state"] == "paused"
    assert foreign.home("quit", f"pid:{pid}").rc == 0


def test_another_users(foreign: Foreign) -> None:
    """It is seen as far as the kernel lets us, and is safe from us."""
    directory = foreign.directory / "theirs"
    directory.mkdir()
    foreign.directory.chmod(0o755)
    directory.chmod(0o777)
    path = directory / "q.sock"
    pid = foreign.start(*qmp(path), "-name", "his", prefix=NOBODY, ready=path)
    home = foreign.as_another_user()

    def row() -> dict[str, object]:
        result = home("list", f"pid:{pid}", "-f", "json")
        assert (result.rc, result.err) == (0, "")
        return dict(result.json[0])

    seen = row()
    assert (seen["name"], seen["origin"], seen["user"]) == (
        *("his", "hand"),
        "nobody",
    )
    assert (seen["state"], seen["run_state"]) == ("running", None)
    assert seen["monitor"] == "unreachable"
    assert seen["monitor_reason"] == f"{path}: no permission"
    for words, why in (
        (("pause",), "no permission"),
        (("quit",), "no permission"),
        (("kill",), "another user's process"),
        (("qmp",), "no permission"),
    ):
        refused = home(*words, f"pid:{pid}", stdin="stop\n")
        assert refused.rc == 4, refused
        assert why in refused.err
    assert "it is a process of nobody" in home("pause", f"pid:{pid}").err
    assert foreign.row(pid)["state"] == "running"
    # He may open it to all; who listens there can still be proven.
    path.chmod(0o777)
    assert row()["monitor"] == "free"
    assert home("pause", f"pid:{pid}").rc == 0
    assert row()["state"] == "paused"


HIDDEN = """
set -e
mount -t proc -o hidepid="$1" proc /proc
shift
{nobody} {qemu} -qmp unix:{dir}/theirs/q.sock,server=on,wait=off \\
    -name theirs &
{powerless} {qemu} -qmp unix:{dir}/ours.sock,server=on,wait=off -name ours &
while ! [ -S {dir}/theirs/q.sock -a -S {dir}/ours.sock ]; do sleep 0.1; done
{powerless} {list} -c list.foreign=yes list -f json
{powerless} {list} show theirs -f json || echo "exit code $?"
"""


@pytest.mark.parametrize(
    ("hidepid", "sees"),
    [("off", True), ("noaccess", False), ("invisible", False)],
)
def test_a_proc_that_hides_other_users(
    foreign: Foreign, hidepid: str, sees: bool
) -> None:
    """proc(5): hidepid; 1: there, and not to be read; 2: not there."""
    directory = foreign.directory
    (directory / "theirs").mkdir()
    directory.chmod(0o755)
    (directory / "theirs").chmod(0o777)
    script = HIDDEN.format(
        dir=directory,
        nobody=" ".join(NOBODY),
        powerless=" ".join(POWERLESS),
        qemu=" ".join((binary(), *NONE)),
        list=foreign.home.executable,
    )
    done = subprocess.run(
        [
            *("unshare", "--pid", "--fork", "--kill-child", "--mount"),
            *("sh", "-c", script, "sh", hidepid),
        ],
        env=foreign.home.environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    rows, end = json.JSONDecoder().raw_decode(done.stdout)
    found = {row["name"]: (row["state"], row["monitor"]) for row in rows}
    assert found.pop("ours") == ("running", "free")
    shown = done.stdout[end:]
    if sees:
        assert found == {"theirs": ("running", "unreachable")}
        assert "no permission" in shown
    else:
        assert found == {}
        assert "there is no VM 'theirs'" in done.stderr
        assert shown.strip() == "exit code 3"


REUSED = """
import subprocess, sys, time
from pathlib import Path
from qemu_cli.errors import NotFoundError
from qemu_cli.proc import ProcFS

start = [*sys.argv[1:], "-display", "none", "-machine", "none"]
old = subprocess.Popen(start)
while True:
    seen = ProcFS().process(old.pid)
    if seen and "-machine" in seen.argv:
        break
time.sleep(0.05)  # start times are counted in hundredths of a second
old.kill()
old.wait()
Path("/proc/sys/kernel/ns_last_pid").write_text(str(old.pid - 1))
new = subprocess.Popen(start)
assert new.pid == old.pid, (new.pid, old.pid)
try:
    ProcFS().open_pidfd(seen)
except NotFoundError as error:
    print(error)
assert new.poll() is None
new.kill()
"""


def test_a_pid_that_is_used_again_before_the_signal() -> None:
    """Between the look and the signal another QEMU gets that very pid."""
    done = subprocess.run(
        [
            *("unshare", "--pid", "--fork", "--kill-child", "--mount-proc"),
            *(sys.executable, "-c", REUSED, binary()),
        ],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("process ")
    assert done.stdout.endswith(" has ended\n")


def test_a_process_that_ends_between_the_look_and_the_signal(
    foreign: Foreign,
) -> None:
    path = foreign.directory / "q.sock"
    pid = foreign.start(*qmp(path), ready=path)
    assert foreign.row(pid)["state"] == "running"
    os.kill(pid, signal.SIGKILL)
    until(lambda: ProcFS().process(pid) is None)
    assert foreign.home("kill", f"pid:{pid}").rc == 3
