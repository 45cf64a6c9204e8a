"""list: rows, formats, filters; hundreds of VMs, and broken ones."""

import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qemu_cli.testing.home import QemuHome

KEYS = [
    "name",
    "state",
    "reason",
    "run_state",
    "origin",
    "pid",
    "arch",
    "machine",
    "accel",
    "cpus",
    "memory_mib",
    "uptime_s",
    "forwards",
    "qemu_version",
    "monitor",
    "user",
    "monitor_reason",
    "monitor_holder",
    "joined",
]


@pytest.fixture(scope="module")
def home() -> Iterator[QemuHome]:
    """Three VMs without a guest: one runs, one is stopped, one broken."""
    with tempfile.TemporaryDirectory(prefix="q-") as directory:
        home = QemuHome(Path(directory) / "h")
        for name, *options in (
            ("web-1", "--memory", "64M", "--forward", "22", "--start"),
            ("web-2", "--memory", "32M", "--cpus", "2"),
        ):
            made = home(
                "create", name, "--disk", "1M", "--accel", "tcg", *options
            )
            assert made.rc == 0, made.err
        broken = home.paths.instance("broken")
        broken.directory.mkdir()
        broken.definition.write_text("machine = 7\n")
        yield home
        home.close()


def names(home: QemuHome, *words: str) -> list[str]:
    result = home("list", "-q", *words)
    assert result.rc == 0, result.err
    return result.out.split()


def rows(home: QemuHome, *words: str) -> dict[str, dict[str, Any]]:
    result = home("list", "-f", "json", *words)
    assert result.rc == 0, result.err
    return {row["name"]: row for row in result.json}


def test_every_row_has_every_key(home: QemuHome) -> None:
    found = rows(home)
    assert list(found) == ["broken", "web-1", "web-2"]
    for row in found.values():
        assert list(row) == KEYS
        assert row["origin"] == "ours"


def test_a_running_one(home: QemuHome) -> None:
    row = rows(home, "web-1")["web-1"]
    assert row["state"] == row["run_state"] == "running"
    assert row["reason"] == ""
    assert Path(f"/proc/{row['pid']}").is_dir()
    assert (row["arch"], row["accel"]) == ("x86_64", "tcg")
    assert row["machine"].startswith("pc-q35-")
    assert (row["cpus"], row["memory_mib"]) == (1, 64)
    assert 0 < row["uptime_s"] < 3600
    (forward,) = row["forwards"]
    assert forward["host_address"] == "127.0.0.1"
    assert forward["guest_port"] == 22
    assert forward["protocol"] == "tcp"
    assert row["qemu_version"].count(".") == 2


def test_a_stopped_one_by_its_definition(home: QemuHome) -> None:
    for _ in range(2):  # parsed, and out of the cache
        row = rows(home)["web-2"]
        assert (row["state"], row["pid"]) == ("stopped", None)
        assert (row["cpus"], row["memory_mib"]) == (2, 32)
    assert home.paths.definitions_cache.exists()


def test_a_broken_one_is_a_row_with_the_reason(home: QemuHome) -> None:
    row = rows(home)["broken"]
    assert row["state"] == "broken"
    assert "'machine': expected `object`" in row["reason"]


def test_all_formats(home: QemuHome) -> None:
    table = home("list").out.splitlines()
    assert table[0].split() == [
        "NAME", "STATE", "REASON", "CPUS", "MEMORY", "UPTIME", "FORWARDS",
    ]  # fmt: skip
    assert "→22" in table[2]
    assert "64.0 MiB" in table[2]
    lines = home("list", "-f", "ndjson").out.splitlines()
    assert [json.loads(line)["name"] for line in lines] == list(rows(home))
    csv = home("list", "-f", "csv").out.splitlines()
    assert csv[0].split(",") == KEYS
    assert len(csv) == 4
    value = home("list", "-f", "value", "--columns", "name,cpus").out
    assert value.splitlines()[1:] == ["web-1\t1", "web-2\t2"]
    yaml = home("list", "-f", "yaml").out
    assert "name: web-1" in yaml
    template = home(
        *("-c", "template.list={name}={state}", "list", "-f", "template")
    )
    assert template.out.splitlines() == [
        "broken=broken",
        "web-1=running",
        "web-2=stopped",
    ]


def test_names_and_globs_and_states(home: QemuHome) -> None:
    assert names(home) == ["broken", "web-1", "web-2"]
    assert names(home, "web*") == ["web-1", "web-2"]
    assert names(home, "web-2", "broken") == ["web-2", "broken"]
    assert names(home, "--state", "running") == ["web-1"]
    assert names(home, "web*", "--state", "stopped", "--state", "broken") == [
        "web-2"
    ]
    assert names(home, "--state", "crashed") == []
    assert home("list", "nosuch").rc == 3
    assert home("list", "x*").rc == 3
    assert home("list", "--state", "up").rc == 2


def test_columns_and_sorting(home: QemuHome) -> None:
    result = home("list", "--columns", "cpus,name", "-f", "csv")
    assert result.out.splitlines()[0] == "cpus,name"
    more = home("list", "--columns", "+pid").out.splitlines()[0].split()
    assert more[0] == "NAME"
    assert more[-1] == "PID"
    assert names_of(home, "--sort", "-name") == ["web-2", "web-1", "broken"]
    assert names_of(home, "--sort", "state,-name") == [
        "broken",
        "web-1",
        "web-2",
    ]
    # What says nothing comes last, either way round.
    for keys, order in (
        ("memory_mib", ["web-2", "web-1", "broken"]),
        ("-memory_mib", ["web-1", "web-2", "broken"]),
    ):
        assert names_of(home, "--sort", keys) == order
    unknown = home("list", "--columns", "colour")
    assert unknown.rc == 2
    assert "known: name, state," in unknown.err
    assert home("list", "--sort", "colour").rc == 2


def names_of(home: QemuHome, *words: str) -> list[str]:
    result = home("list", "-f", "value", "--columns", "name", *words)
    assert result.rc == 0, result.err
    return result.out.split()


def test_nothing_at_all(qemu_home: QemuHome) -> None:
    assert qemu_home("list").rc == 0
    assert qemu_home("list", "-f", "json").json == []
    assert qemu_home("list", "-q").out == ""


def test_hundreds_of_stopped_vms(home: QemuHome, qemu_home: QemuHome) -> None:
    definition = home.paths.instance("web-2").definition
    for number in range(300):
        directory = qemu_home.paths.instance(f"vm{number:03}").directory
        directory.mkdir(parents=True)
        shutil.copy(definition, directory)
    qemu_home.paths.instance("vm150").definition.write_text("nonsense")

    def listed() -> tuple[float, list[str]]:
        begun = time.monotonic()
        states = [row["state"] for row in rows(qemu_home).values()]
        return time.monotonic() - begun, states

    first_s, states = listed()
    assert states == ["stopped"] * 150 + ["broken"] + ["stopped"] * 149
    second_s, again = listed()
    assert again == states
    # The first parses all definitions, the second one only.
    assert second_s < max(2.0, first_s)


def test_other_users_directories_and_files_do_no_harm(
    qemu_home: QemuHome,
) -> None:
    instances = qemu_home.paths.instances
    instances.mkdir(parents=True)
    (instances / "circle").symlink_to("circle")
    (instances / "file").write_text("")
    (instances / "a\nb").mkdir()
    result = qemu_home("list", "-f", "json")
    assert [row["name"] for row in result.json] == ["a\nb"]
    assert len(qemu_home("list").out.splitlines()) == 2


def test_a_cache_that_cannot_be_written(home: QemuHome) -> None:
    cache = home.paths.cache
    aside = cache.with_name("aside")
    cache.rename(aside)
    cache.write_text("a file in its place")
    try:
        assert list(rows(home)) == ["broken", "web-1", "web-2"]
    finally:
        cache.unlink()
        aside.rename(cache)


def test_killed_stopped_and_without_its_directory(home: QemuHome) -> None:
    """The last one: it ends the VM that runs."""
    pid = rows(home)["web-1"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    begun = time.monotonic()
    row = rows(home)["web-1"]
    assert row["state"] == "unresponsive"
    assert "SIGSTOP" in row["reason"]
    assert time.monotonic() - begun < 30
    os.kill(pid, signal.SIGCONT)
    assert rows(home)["web-1"]["state"] == "running"

    moved = home.paths.instances.parent / "moved"
    home.paths.instance("web-1").directory.rename(moved)
    row = rows(home)["web-1"]
    assert (row["state"], row["reason"]) == (
        "running",
        "its directory is gone",
    )
    moved.rename(home.paths.instance("web-1").directory)

    os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 30
    while (row := rows(home)["web-1"])["state"] != "crashed":
        assert time.monotonic() < end, row
    assert row["reason"] == "QEMU was killed or died"
    # What is left of it when its directory is removed is no VM.
    shutil.rmtree(home.paths.instance("web-1").directory)
    assert "web-1" not in rows(home)
