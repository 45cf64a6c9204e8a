"""Whose a QEMU is, and daemons that run no VM: real processes."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from qemu_cli.testing.home import QemuHome
from tests.functional.by_hand import Foreign, qmp
from tests.functional.until import until

PLUGIN = """
from qemu_cli.hookspecs import hookimpl


@hookimpl
def qemu_cli_label_process(process):
    return "mine" if "my-name" in process.argv else None
"""


def rows(home: QemuHome, *options: str, **more: Any) -> dict[int, Any]:
    listed = home("list", "-f", "json", *options, **more)
    assert listed.rc == 0, listed.err
    return {row["pid"]: row for row in listed.json if row["pid"]}


@pytest.fixture
def everyone(qemu_home: QemuHome, foreign: Foreign) -> QemuHome:
    """The home, and VMs of others are listed as well."""
    qemu_home.environment.pop("QEMU_CLI_CONFIG_LIST_FOREIGN", None)
    return qemu_home


def test_daemons(
    everyone: QemuHome, foreign: Foreign, short_dir: Path
) -> None:
    image = short_dir / "d.qcow2"
    create = ["qemu-img", "create", "-q", "-f", "qcow2", image, "1M"]
    subprocess.run(create, check=True)
    monitor, nbd = short_dir / "m", short_dir / "n"
    storage = foreign.start(
        *("--blockdev", f"file,node-name=f,filename={image},read-only=on"),
        *("--chardev", f"socket,id=c,path={monitor},server=on,wait=off"),
        *("--monitor", "chardev=c"),
        program=("qemu-storage-daemon",),
        ready=monitor,
    )
    server = foreign.start(
        *("-r", "-t", "-f", "qcow2", "-k", str(nbd), str(image)),
        program=("qemu-nbd",),
        ready=nbd,
    )
    vm = foreign.start(*qmp(short_dir / "q"), ready=short_dir / "q")
    usual = rows(everyone)
    assert vm in usual
    assert not {storage, server} & usual.keys()
    found = rows(everyone, "--all-kinds")
    assert {vm, storage, server} <= found.keys()
    assert found[storage]["origin"] == found[server]["origin"] == "hand"
    assert found[server]["monitor"] == "none"
    # Nobody has talked to them: the first client is greeted at once.
    greeted = subprocess.run(
        ["qemu-img", "info", "--output=json", f"nbd+unix:///?socket={nbd}"],
        capture_output=True,
        check=True,
        timeout=30,
    )
    assert json.loads(greeted.stdout)["virtual-size"] == 1 << 20


#: What each program has in its command line, with a place that is ours.
MARKS = {
    "libvirt": "-chardev socket,id=charmonitor,path={0}/m,server=on,wait=off"
    " -mon chardev=charmonitor,mode=control",
    "lima": "-name lima-default -qmp unix:{0}/m,server=on,wait=off",
    "proxmox": "-chardev socket,id=qmp,path={0}/qemu-server/1.qmp,"
    "server=on,wait=off -mon chardev=qmp,mode=control",
    "quickemu": "-monitor unix:{0}/u-monitor.socket,server,nowait"
    " -serial unix:{0}/u-serial.socket,server,nowait",
    "incus": "-readconfig {0}/incus/qemu.conf"
    " -qmp unix:{0}/m,server=on,wait=off",
    "hand": "-qmp unix:{0}/m,server=on,wait=off",
}


@pytest.mark.parametrize("origin", MARKS)
def test_whose_it_is(
    everyone: QemuHome, foreign: Foreign, short_dir: Path, origin: str
) -> None:
    for name in ("qemu-server", "incus"):
        (short_dir / name).mkdir()
    (short_dir / "incus/qemu.conf").write_text("# nothing\n")
    words = MARKS[origin].format(short_dir).split()
    machine = [] if origin != "quickemu" else ["-machine", "pc", "-m", "16"]
    pid = foreign.start(*machine, *words)
    until(lambda: foreign.row(pid)["monitor"] in ("free", "hmp"))
    row = rows(everyone, "--origin", origin)[pid]
    assert row["origin"] == origin
    assert row["state"] in ("running", "paused")
    other = "hand" if origin != "hand" else "lima"
    assert pid not in rows(everyone, "--origin", other)


def test_a_plug_in_knows_it(
    everyone: QemuHome, foreign: Foreign, short_dir: Path, tmp_path: Path
) -> None:
    info = tmp_path / "labels-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: labels\nVersion: 1.0\n"
    )
    (info / "entry_points.txt").write_text("[qemu_cli.hooks]\nx = labels\n")
    (tmp_path / "labels.py").write_text(PLUGIN)
    mark = ("-name", "my-name")
    pid = foreign.start(*mark, *qmp(short_dir / "m"), ready=short_dir / "m")
    other = foreign.start(*qmp(short_dir / "o"), ready=short_dir / "o")
    found = rows(everyone, environment={"PYTHONPATH": str(tmp_path)})
    assert found[pid]["origin"] == "mine"
    assert found[other]["origin"] == "hand"
    assert rows(everyone)[pid]["origin"] == "hand"
