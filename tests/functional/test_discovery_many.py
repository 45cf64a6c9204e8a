"""Discovery on a busy host: 300 QEMUs at once, and others that come and go."""

import os
import signal
import socket
import time

from qemu_cli.proc import ProcFS
from qemu_cli.testing.real_qemu import binary
from tests.functional.by_hand import Foreign, qmp
from tests.functional.until import until

MANY = 300


def test_hundreds_at_once(foreign: Foreign) -> None:
    """One is stopped by a signal, of one the monitor is held."""
    directory = foreign.directory
    paths = [directory / f"{number}" for number in range(MANY)]
    pids = [foreign.start("-S", *qmp(path)) for path in paths]
    until(lambda: all(path.exists() for path in paths))
    os.kill(pids[7], signal.SIGSTOP)
    home = foreign.home
    seen = {"QEMU_CLI_CONFIG_LIST_FOREIGN": "yes"}
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(paths[9]))
        client.recv(1000)
        until(lambda: foreign.row(pids[-1])["monitor"] == "free")
        begun = time.monotonic()
        result = home("list", "-f", "json", environment=seen)
        took_s = time.monotonic() - begun
    assert (result.rc, result.err) == (0, "")
    # Other tests may have theirs.
    rows = {row["pid"]: row for row in result.json if row["pid"] in pids}
    assert rows.keys() == set(pids)
    assert rows.pop(pids[7])["state"] == "unresponsive"
    held = rows.pop(pids[9])
    assert (held["state"], held["monitor"]) == ("running", "held")
    assert held["monitor_holder"]["pid"] == os.getpid()
    assert {(row["run_state"], row["monitor"]) for row in rows.values()} == {
        ("prelaunch", "free")
    }
    assert took_s < 10
    resumed = home("resume", *(f"pid:{pid}" for pid in rows), "-f", "json")
    assert resumed.rc == 0, resumed.err
    assert {row["code"] for row in resumed.json} == {0}


#: Starts and ends what is called as QEMU is, as fast as it can.
CHURN = """
while :; do
    {qemu} -version >{dir}/version &
    {qemu} -machine none -display none -nodefaults \\
        -qmp unix:{dir}/churn-$1,server=on,wait=off &
    sleep 0.0$1
    kill -9 $!
    wait
done
"""


def test_processes_that_come_and_go(foreign: Foreign) -> None:
    """They end between any two looks at them; the one that stays is there."""
    path = foreign.directory / "q.sock"
    stays = foreign.start(*qmp(path), "-name", "stays", ready=path)
    script = CHURN.format(qemu=binary(), dir=foreign.directory)
    churns = [
        foreign.start(program=("sh", "-c", script, "sh", number))
        for number in ("1", "4", "7")
    ]
    met = 0
    try:
        for _ in range(20):
            result = foreign.home(
                *("list", "-f", "json"),
                environment={"QEMU_CLI_CONFIG_LIST_FOREIGN": "yes"},
            )
            assert (result.rc, result.err) == (0, "")
            [row] = [row for row in result.json if row["pid"] == stays]
            assert (row["state"], row["monitor"]) == ("running", "free")
            met += len(result.json) > 1
    finally:
        for churn in churns:
            os.killpg(churn, signal.SIGKILL)
    assert met
    assert ProcFS().monitor_use(stays, str(path)) == (False, 0)
