"""qemu capture: the captured machine is started, and is the same."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from qemu_cli.testing.home import QemuHome
from tests.functional.capturing import Old, ask, created


@pytest.fixture
def old(short_dir: Path, qemu_home: QemuHome) -> Iterator[Old]:
    directory = short_dir / "old"
    directory.mkdir()
    one = Old(directory, qemu_home)
    yield one
    one.end()


def test_a_q35_of_many_kinds_of_disks(old: Old) -> None:
    home = old.home
    for name in ("a", "b,c", "d", "e", "f"):
        old.image(name)
    old.image("raw", "raw")
    (old.directory / "cd.iso").write_bytes(bytes(1 << 20))
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    pid = old.start(
        *("-machine", "q35,vmport=off", "-m", "256,slots=2,maxmem=1G"),
        *("-smp", "3,maxcpus=4,sockets=1,cores=4", "-cpu", "qemu64,+avx"),
        *("-uuid", "11111111-2222-3333-4444-555555555555", "-name", "web"),
        *("-drive", "file=a,if=virtio,cache=none"),
        *("-drive", "file=raw,format=raw,if=none,id=r,readonly=on"),
        *("-device", "virtio-blk-pci,drive=r,serial=S1,bootindex=1"),
        *("-blockdev", "driver=file,filename=b,,c,node-name=f0"),
        *("-blockdev", "driver=qcow2,file=f0,node-name=n0"),
        *("-device", "virtio-scsi-pci,id=s0"),
        *("-device", "scsi-hd,drive=n0,id=sd,bus=s0.0,lun=3"),
        "-blockdev",
        '{"driver":"qcow2","node-name":"n1","file":'
        '{"driver":"file","filename":"d"}}',
        "-device",
        '{"driver":"virtio-blk-pci","drive":"n1","id":"vd","addr":"0x10"}',
        *("-drive", "file=e,if=none,id=n,format=qcow2"),
        *("-device", "nvme,drive=n,serial=N1"),
        *("-drive", "file=f,index=0"),
        *("-drive", "file=cd.iso,media=cdrom"),
        *("-netdev", f"user,id=n,hostfwd=tcp:127.0.0.1:{port}-:22"),
        *("-device", "virtio-net-pci,netdev=n"),
        *("-netdev", "user,id=o,restrict=on", "-device", "e1000,netdev=o"),
        *("-device", "virtio-rng-pci", "-device", "qemu-xhci"),
        *("-device", "usb-tablet", "-serial", "null", "-display", "none"),
        *("-qmp", "unix:q,server=on,wait=off"),
    )
    before = ask(home, f"pid:{pid}")
    file, report = old.capture(pid)
    assert home("qmp", f"pid:{pid}", "query-status").rc == 0
    early = home("create", "early", "--definition", file)
    assert early.rc == 0, early.err
    refused = home("start", "early")
    assert refused.rc == 5  # its disks are locked: it still runs
    assert ask(home, f"pid:{pid}") == before
    assert home("quit", f"pid:{pid}").rc == 0
    assert home("delete", "early", "--yes").rc == 0
    created(home, "web", file)
    assert ask(home, "web") == before
    words = {note["word"] for note in report if note["fate"] == "dropped"}
    assert words == {"-qmp unix:q,server=on,wait=off"}
    shown = home("show", "web", "-f", "json").json
    assert {disk["bus"] for disk in shown["disks"]} == {
        *("virtio", "scsi", "nvme", "sata"),
    }
    assert shown["forwards"][0]["host_port"] == port
    # It is an instance like others.
    assert home("snapshot", "create", "web", "s", "--external").rc == 0
    assert home("quit", "web").rc == 0
    assert home("start", "web").rc == 0
    after = ask(home, "web")
    assert after["pci"] == before["pci"]
    assert home("quit", "web").rc == 0
    assert home("delete", "web", "--yes").rc == 0
    assert all((old.directory / name).exists() for name in ("a", "raw"))


def test_a_pc_with_all_that_it_has_by_itself(old: Old) -> None:
    home = old.home
    for name in ("a", "b", "v"):
        old.image(name)
    (old.directory / "cd.iso").write_bytes(bytes(1 << 20))
    pid = old.start(
        *("-hda", "a", "-hdb", "b", "-cdrom", "cd.iso", "-boot", "d"),
        *("-drive", "file=v,if=virtio", "-device", "virtio-balloon"),
        *("-name", "guest=web,debug-threads=on", "-vnc", "none"),
        *("-qmp", "unix:q,server,nowait"),
    )
    before = ask(home, f"pid:{pid}")
    assert before["machine"].startswith("pc-i440fx-")
    file, _ = old.capture(pid)
    assert home("quit", f"pid:{pid}").rc == 0
    created(home, "web", file)
    assert ask(home, "web") == before
    tree = home("hmp", "web", "info", "qtree").out
    for driver in ("isa-serial", "isa-parallel", "VGA", "e1000", "floppy"):
        assert f"dev: {driver}," in tree
    assert '"-boot", "d"' in file.read_text()


def test_what_has_changed_since_the_start(old: Old) -> None:
    """An overlay, a CD, a device plugged in, and one plugged out."""
    home = old.home
    old.image("a")
    (old.directory / "cd.iso").write_bytes(bytes(1 << 20))
    pid = old.start(
        *("-machine", "q35", "-nodefaults", "-display", "none"),
        *("-drive", "file=a,if=virtio", "-device", "ide-cd,id=cd"),
        *("-device", "pcie-root-port,id=rp,chassis=1"),
        *("-object", "rng-builtin,id=r"),
        *("-qmp", "unix:q,server=on,wait=off"),
    )
    overlay = old.directory / "overlay"
    for words in (
        (
            *("blockdev-snapshot-sync", "device=virtio0"),
            *(f"snapshot-file={overlay}", "format=qcow2"),
        ),
        ("blockdev-change-medium", "id=cd", "filename=cd.iso", "format=raw"),
        ("device_add", "driver=virtio-rng-pci", "bus=rp", "id=new"),
    ):
        done = home("qmp", f"pid:{pid}", *words)
        assert done.rc == 0, (words, done.err)
    file, report = old.capture(pid)
    text = file.read_text()
    assert f'file = "{overlay}"' in text
    assert f'file = "{old.directory}/cd.iso"' in text
    differs = [note for note in report if note["fate"] == "differs"]
    assert any(note["now"] == str(overlay) for note in differs)
    assert any("virtio-rng-pci new" in note["word"] for note in differs)
    assert home("quit", f"pid:{pid}").rc == 0
    created(home, "web", file)
    names = {disk[1] for disk in ask(home, "web")["disks"]}
    assert names == {"overlay", "cd.iso"}


def test_files_are_not_replaced(old: Old) -> None:
    home = old.home
    pid = old.start(
        *("-machine", "none", "-display", "none"),
        *("-qmp", "unix:q,server=on,wait=off"),
    )
    reference = f"pid:{pid}"
    file = old.directory / "x.toml"
    file.write_text("mine")
    for there in (file, old.directory):
        refused = home("capture", reference, "--to", there)
        assert refused.rc == 4
        assert "already" in refused.err
    link = old.directory / "link"
    link.symlink_to("nowhere")
    assert home("capture", reference, "--to", link).rc == 4
    assert file.read_text() == "mine"
    nowhere = home("capture", reference, "--to", old.directory / "no/x")
    assert nowhere.rc == 3
    assert f"there is no directory {old.directory}/no" in nowhere.err
    assert home("capture", reference, "-f", "nonsense").rc == 2
    assert home("capture", "qmp:/no/such").rc == 4
    assert home("capture", "nobody").rc == 3
    assert sorted(path.name for path in old.directory.iterdir()) == [
        *("link", "q", "x.toml"),
    ]


def test_a_definition_that_is_no_instance_yet(old: Old) -> None:
    home = old.home
    image = old.image("a")
    pid = old.start(
        *("-nodefaults", "-drive", "file=a,if=virtio", "-display", "none"),
        *("-qmp", "unix:q,server=on,wait=off"),
    )
    file, _ = old.capture(pid)
    assert home("kill", f"pid:{pid}").rc == 0
    dry = home("create", "web", "--definition", file, "--dry-run")
    assert dry.rc == 0
    assert "instance.toml" in dry.out
    assert not home.paths.instance("web").directory.exists()
    both = home("create", "web", "--definition", file, "--memory", "1G")
    assert both.rc == 2
    assert "--memory can't go with it" in both.err
    nowhere = home("create", "web", "--definition", "nowhere")
    assert (nowhere.rc, "there is no file nowhere" in nowhere.err) == (3, True)
    made = home("create", "web", "--definition", file, "-f", "json")
    assert made.json["disks"] == [str(image)]
    again = home("create", "web2", "--definition", file)
    assert again.rc == 4
    assert f"{image} is in use by web" in again.err
    text = file.read_text()
    file.write_text(text.replace(str(image), "a"))
    assert (
        "a path in the directory"
        in home("create", "web3", "--definition", file).err
    )
    file.write_text(text.replace(str(image), "/no/such"))
    assert home("create", "web3", "--definition", file).rc == 3
    file.write_text("format = 1\n")
    assert home("create", "web3", "--definition", file).rc != 0
    assert home("delete", "web", "--yes").rc == 0
    assert image.exists()
