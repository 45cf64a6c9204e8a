"""Serving disks of a VM that somebody else started."""

import os
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests.functional.exports.clients import read, run
from tests.functional.strangers import Stranger
from tests.functional.until import until

Start = Callable[..., Stranger]


def exports(vm: Stranger) -> list[Any]:
    return list(vm.json("export", "list", vm.ref))


def test_live_and_a_point_in_time(stranger: Start) -> None:
    vm = stranger()
    vm.as_guest("write -P 1 0 64k")
    vm.as_guest("write -P 7 0 64k", "ide0-hd0")
    uris = vm.ok("nbd-export", vm.ref, "--live").out.split()
    assert [uri.partition("?")[0].rpartition("/")[2] for uri in uris] == [
        *("virtio0", "ide0-hd0"),
    ]
    [pit] = vm.ok("nbd-export", vm.ref, "virtio0", "--name", "pit").out.split()
    vm.as_guest("write -P 2 0 64k")
    assert read(uris[0], 2, "0 64k")
    assert read(pit, 1, "0 64k")
    assert read(uris[1], 7, "0 64k")
    assert vm.holds(2)
    assert vm.status == "running"
    rows = exports(vm)
    assert [(row["name"], row["kind"], row["pid"]) for row in rows] == [
        ("virtio0", "live", vm.pid),
        ("ide0-hd0", "live", vm.pid),
        ("pit", "pit", vm.pid),
    ]
    # Without a name, what we serve of strangers is listed, too.
    assert len(vm.json("export", "list")) == 3
    own = vm.home.paths.foreign
    assert list(own.rglob("*.scratch.qcow2"))
    vm.ok("export", "stop", vm.ref, "pit")
    assert not list(own.rglob("*.scratch.qcow2"))
    vm.ok("export", "stop", vm.ref)
    assert exports(vm) == []
    assert vm.qmp("query-block-exports") == []
    # The device has its own node again, and nothing of ours is left.
    left = [n["node-name"] for n in vm.qmp("query-named-block-nodes")]
    assert not [name for name in left if not name.startswith("#block")]
    assert vm.holds(2)
    assert vm.refused("export", "stop", vm.ref, rc=3)


@pytest.mark.parametrize("kind", ["--scratch", "--backing"])
def test_other_kinds(stranger: Start, kind: str) -> None:
    vm = stranger()
    vm.as_guest("write -P 1 0 64k")
    [uri] = vm.ok("nbd-export", vm.ref, "virtio0", kind).out.split()
    if kind == "--scratch":
        command = ("-c", "write -P 3 0 64k", "-c", "read -P 3 0 64k")
        assert run("qemu-io", "-f", "raw", *command, uri).returncode == 0
    else:
        assert read(uri, 0, "0 64k")
    assert vm.holds(1)
    vm.ok("export", "stop", vm.ref)
    assert vm.status == "running"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--snapshot", "s1"), "--snapshot is for instances of yours"),
        (("--listen", "127.0.0.1:0"), "--listen is for instances of yours"),
        (("--writable",), "its guest would not notice"),
        (("--quiesce",), "agent"),
    ],
)
def test_what_can_not_be_served(
    stranger: Start, words: tuple[str, ...], why: str
) -> None:
    vm = stranger()
    assert why in vm.refused("nbd-export", vm.ref, *words)
    assert vm.qmp("query-block-exports") == []
    vm.refused("nbd-export", vm.ref, "nix", rc=3)


def test_somebodys_own_server(stranger: Start) -> None:
    """QEMU has only one; what it serves is listed, and left alone."""
    vm = stranger()
    node = vm.json("disk", "list", vm.ref)[0]["node"]
    path = str(vm.directory / "nbd")
    vm.qmp("nbd-server-start", addr={"type": "unix", "data": {"path": path}})
    vm.qmp("block-export-add", type="nbd", id="x", **{"node-name": node})
    [row] = exports(vm)
    assert (row["id"], row["name"]) == ("x", None)
    refused = vm.refused("nbd-export", vm.ref, "--live")
    assert "serves NBD already" in refused
    assert [row["id"] for row in exports(vm)] == ["x"]
    assert not list(vm.home.paths.foreign.rglob("*.json"))


def test_held_in_the_foreground(stranger: Start) -> None:
    vm = stranger()
    for end in (signal.SIGINT, signal.SIGKILL):
        with subprocess.Popen(
            [vm.home.executable, "nbd-export", vm.ref, "--foreground"],
            env=vm.home.environment,
            stdout=subprocess.PIPE,
            start_new_session=True,
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline()
            assert len(exports(vm)) == 2
            os.kill(child.pid, end)
            child.wait()
        until(lambda: vm.qmp("query-block-exports") == [])
        assert vm.status == "running"
        until(lambda: not list(vm.home.paths.foreign.rglob("exports/*.json")))


def test_with_its_qemu_all_of_it_ends(stranger: Start) -> None:
    vm = stranger()
    vm.ok("nbd-export", vm.ref)
    assert list(vm.home.paths.foreign.rglob("*.scratch.qcow2"))
    vm.ok("quit", vm.ref)
    assert vm.json("export", "list") == []
    other = stranger()
    other.ok("disk", "list", other.ref)
    assert not list(vm.home.paths.foreign.rglob("*.scratch.qcow2"))
