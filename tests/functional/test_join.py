"""qemu join and leave: a name and a log for a VM that others started."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

from qemu_cli.proc import ProcFS
from qemu_cli.testing.home import QemuHome
from qemu_cli.testing.real_qemu import RealQemu

Start = Callable[..., RealQemu]
NONE = ("-machine", "none")
#: Other tests have VMs at the same time, which are found by their names.
NAME = f"joined-{os.getpid()}"


def test_by_its_new_name_and_by_its_own(
    qemu_home: QemuHome, real_qemu: Start
) -> None:
    qemu = real_qemu(*NONE, "-name", f"own {os.getpid()}")
    done = qemu_home("join", f"pid:{qemu.pid}", "--name", NAME)
    assert done.rc == 0, done.err
    assert f"{NAME}: joined (pid {qemu.pid}, hand, 'own " in done.err
    assert done.out == ""
    # Also where VMs of others are not to be listed.
    [row] = qemu_home("list", "-f", "json").json
    assert (row["name"], row["origin"], row["joined"]) == (NAME, "hand", True)
    assert row["pid"] == qemu.pid
    assert NAME in qemu_home("list").out
    assert qemu_home("pause", NAME).rc == 0
    assert qemu_home("resume", f"own {os.getpid()}").rc == 0
    assert qemu_home("reset", f"pid:{qemu.pid}").rc == 0
    assert qemu_home("resume", f"hand:own {os.getpid()}").rc == 4
    log = qemu_home("log", NAME, "-f", "json")
    assert [entry["action"] for entry in log.json] == [
        "reset",
        "resume",
        "pause",
        "join",
    ]
    assert log.json[2]["command"] == f"qemu pause {NAME}"
    shown = qemu_home("show", NAME, "-f", "json").json
    assert shown["joined"] is True
    assert shown["own_name"] == f"own {os.getpid()}"
    assert Path(shown["files"]["history"]).exists()
    for option in ("--serial", "--qemu"):
        refused = qemu_home("log", NAME, option)
        assert refused.rc == 4
        assert "no instance of yours" in refused.err
    left = qemu_home("leave", NAME)
    assert left.rc == 0
    own = f"'own {os.getpid()}' again (pid:{qemu.pid})"
    assert f"{NAME}: left; it is {own}" in left.err
    assert qemu_home("show", NAME).rc == 3
    refused = qemu_home("log", f"pid:{qemu.pid}")
    assert refused.rc == 4
    assert f"'qemu join pid:{qemu.pid}'" in refused.err
    assert qemu_home("leave", f"pid:{qemu.pid}").rc == 4
    assert qemu_home("list", "-f", "json").json == []
    assert qemu.process.poll() is None


def test_names_that_are_refused(qemu_home: QemuHome, real_qemu: Start) -> None:
    one, two = real_qemu(*NONE, "-name", "a/b"), real_qemu(*NONE)
    made = qemu_home("create", "mine", "--disk", "1M", "--accel", "tcg")
    assert made.rc == 0, made.err
    for name in ("a b", "", "all", "../x", ".x", "x" * 65, "\udcff"):
        assert qemu_home("join", f"pid:{one.pid}", "--name", name).rc == 2
    taken = qemu_home("join", f"pid:{one.pid}", "--name", "mine")
    assert taken.rc == 4
    assert "there is an instance 'mine'" in taken.err
    own = qemu_home("join", "mine")
    assert own.rc == 4
    assert "an instance of yours already" in own.err
    assert qemu_home("join", "nobody").rc == 3
    assert qemu_home("join", "qmp:/no/such").rc == 4

    done = qemu_home("join", f"pid:{one.pid}", "-f", "json")
    assert done.json == {
        "name": "a-b",
        "joined": True,
        "pid": one.pid,
        "origin": "hand",
        "own_name": "a/b",
    }
    assert qemu_home("join", f"pid:{one.pid}", "--name", "c").rc == 4
    assert qemu_home("join", f"pid:{two.pid}", "--name", "a-b").rc == 4
    unnamed = qemu_home("join", f"pid:{two.pid}", "-f", "json")
    assert unnamed.json["name"] == f"qemu-{two.pid}"
    for words in (
        ("create", "a-b"),
        ("rename", "mine", "a-b"),
        ("clone", "mine", "a-b"),
    ):
        refused = qemu_home(*words)
        assert refused.rc == 4, words
        assert "'qemu leave a-b' frees the name" in refused.err
    assert qemu_home("list", "-q").out == "mine\n"


def test_it_is_gone_with_its_qemu(
    qemu_home: QemuHome, real_qemu: Start
) -> None:
    qemu = real_qemu(*NONE)
    assert qemu_home("join", f"pid:{qemu.pid}", "--name", NAME).rc == 0
    log = qemu_home.paths.joined / NAME / "history.jsonl"
    assert log.exists()
    assert qemu_home("quit", NAME).rc == 0
    assert qemu_home("list", "-f", "json").json == []
    assert not log.parent.exists()
    assert qemu_home("log", NAME).rc == 3
    other = real_qemu(*NONE)
    assert qemu_home("join", f"pid:{other.pid}", "--name", NAME).rc == 0
    assert len(qemu_home("log", NAME, "-f", "json").json) == 1


def test_nobody_connects(qemu_home: QemuHome, real_qemu: Start) -> None:
    qemu = real_qemu(*NONE)
    reference = f"pid:{qemu.pid}"
    for words in (
        ("join", reference, "--name", "x"),
        ("log", "x"),
        ("leave", "x"),
    ):
        traced = qemu_home("--trace-qmp", *words)
        assert traced.rc == 0, traced.err
        assert "qmp_capabilities" not in traced.err
    seen = qemu_home("--trace-qmp", "list", reference)
    assert "qmp_capabilities" in seen.err  # the trace would have told
    address = qemu.addresses[0]
    assert ProcFS().monitor_use(qemu.pid, address) == (False, 0)


def test_one_that_is_stopped(qemu_home: QemuHome, real_qemu: Start) -> None:
    qemu = real_qemu(*NONE)
    os.kill(qemu.pid, signal.SIGSTOP)
    done = qemu_home("join", f"pid:{qemu.pid}", "--name", NAME)
    assert done.rc == 0, done.err
    assert qemu_home("list", NAME, "-f", "json").json[0]["joined"]
    assert qemu_home("pause", NAME).rc == 4
    assert qemu_home("kill", NAME).rc == 0
