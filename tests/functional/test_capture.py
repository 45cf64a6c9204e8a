"""qemu capture: the captured machine is started, and is the same."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qemu_cli.proc import ProcFS
from qemu_cli.testing.home import QemuHome, Result
from qemu_cli.testing.real_qemu import binary

TIMEOUT_S = 60.0
SIZE = "8M"


class Old:
    """A QEMU that somebody starts by hand, in a directory of theirs."""

    def __init__(self, directory: Path, home: QemuHome) -> None:
        self.directory = directory
        self.home = home
        self._children: list[subprocess.Popen[bytes]] = []

    def image(self, name: str, image_format: str = "qcow2") -> Path:
        path = self.directory / name
        subprocess.run(
            ["qemu-img", "create", "-q", "-f", image_format, path, SIZE],
            check=True,
        )
        return path

    def start(self, *words: str, ready: str | None = "q") -> int:
        child = subprocess.Popen(
            [binary(), "-accel", "tcg", *words],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "PWD": str(self.directory)},
        )
        self._children.append(child)
        end = time.monotonic() + TIMEOUT_S
        while ready and not (self.directory / ready).exists():
            assert child.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
        return child.pid

    def capture(self, pid: int) -> tuple[Path, list[dict[str, str]]]:
        """Capture it, and end it."""
        file = self.directory / "captured.toml"
        done = self.home(
            *("capture", f"pid:{pid}", "--to", file, "-f", "json")
        )
        assert done.rc == 0, done.err
        return file, done.json["report"]

    def end(self) -> None:
        for child in self._children:
            child.kill()
            child.wait()


@pytest.fixture
def old(short_dir: Path, qemu_home: QemuHome) -> Iterator[Old]:
    directory = short_dir / "old"
    directory.mkdir()
    one = Old(directory, qemu_home)
    yield one
    one.end()


def created(home: QemuHome, name: str, file: Path) -> Result:
    done = home("create", name, "--definition", file, "--start")
    assert done.rc == 0, done.err
    return done


def ask(home: QemuHome, reference: str) -> dict[str, Any]:
    """What QEMU itself says of its machine."""

    def qmp(command: str, *words: str) -> Any:
        done = home("qmp", reference, command, *words)
        assert done.rc == 0, done.err
        return json.loads(done.out)

    cpus = qmp("query-cpus-fast")
    return {
        "machine": qmp("qom-get", "path=/machine", "property=type"),
        "cpus": [cpu["props"] for cpu in cpus],
        "cpu": qmp("qom-get", f"path={cpus[0]['qom-path']}", "property=type"),
        "memory": qmp("query-memory-size-summary"),
        "uuid": qmp("query-uuid"),
        "name": qmp("query-name"),
        "pci": [
            (each["bus"], each["slot"], each["function"], each["id"])
            for bus in qmp("query-pci")
            for each in _flat(bus["devices"])
        ],
        "disks": _disks(qmp),
        "macs": re.findall(r"macaddr=(\S+?)\b", _text(home, reference)),
    }


def _text(home: QemuHome, reference: str) -> str:
    return home("hmp", reference, "info", "network").out


def _flat(devices: list[Any]) -> Iterator[Any]:
    for device in devices:
        yield device
        bridge = device.get("pci_bridge", {})
        yield from _flat(bridge.get("devices", []))


def _disks(qmp: Callable[..., Any]) -> list[tuple[Any, ...]]:
    """Each device with a medium, and what is in it."""
    found = []
    for block in qmp("query-block"):
        path = block.get("qdev", "").removesuffix("/virtio-backend")
        if not path:
            continue  # a drive that no device has
        if not path.startswith("/"):
            path = f"/machine/peripheral/{path}"
        kind = qmp("qom-get", f"path={path}", "property=type")
        medium = block.get("inserted")
        found.append(
            (
                kind,
                medium and Path(medium["file"]).name,
                medium and medium["drv"],
                medium and medium["ro"],
                medium and medium["cache"]["direct"],
            )
        )
    return sorted(found, key=str)


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


def test_by_the_command_line_alone(old: Old) -> None:
    """Its monitor is held: even the places on the bus are the same."""
    home = old.home
    for name in ("a", "b", "c"):
        old.image(name)
    pid = old.start(
        *("-machine", "q35", "-display", "none", "-smp", "2"),
        *("-drive", "file=a,if=virtio,format=qcow2"),
        *("-device", "virtio-rng-pci,addr=4", "-device", "nec-usb-xhci"),
        *("-drive", "file=b,if=none,id=b,format=qcow2"),
        *("-device", "virtio-blk-pci,drive=b", "-vga", "cirrus"),
        *("-netdev", "user,id=n", "-device", "e1000,netdev=n"),
        *("-netdev", "user,id=o", "-device", "virtio-net-pci,netdev=o"),
        *("-nic", "user,model=virtio-net-pci"),
        *("-drive", "file=c,format=qcow2,index=1"),
        *("-qmp", "unix:q,server=on,wait=off"),
    )
    before = ask(home, f"pid:{pid}")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(old.directory / "q"))
        client.recv(1000)
        done = home("capture", f"pid:{pid}", "-f", "json")
        assert ProcFS().monitor_use(pid, "q") == (True, 0)
    assert done.rc == 0, done.err
    assert done.json["asked"] is False
    why = {note["word"]: note["why"] for note in done.json["report"]}
    assert "it is held" in why["its monitor"]
    assert "worked out" in why["places on the PCI bus"]
    file = old.directory / "web.toml"
    file.write_text(done.json["definition"])
    assert home("kill", f"pid:{pid}").rc == 0
    created(home, "web", file)
    after = ask(home, "web")
    assert after.pop("name") == {"name": "web"}
    assert after.items() <= before.items()


def test_where_only_people_can_ask(old: Old) -> None:
    home = old.home
    old.image("a")
    pid = old.start(
        *("-machine", "q35", "-nodefaults", "-display", "none"),
        *("-drive", "file=a,if=virtio,format=qcow2"),
        *("-monitor", "unix:q,server=on,wait=off"),
    )
    done = home("capture", f"pid:{pid}")
    assert done.rc == 0, done.err
    assert "HMP at q" in done.err
    assert "-monitor unix:q" in done.err
    (old.directory / "web.toml").write_text(done.out)
    assert home("kill", f"pid:{pid}").rc == 0
    created(home, "web", old.directory / "web.toml")
    assert ask(home, "web")["disks"] == [
        ("virtio-blk-pci", "a", "qcow2", False, False)
    ]


def test_one_that_is_stopped_is_not_asked(old: Old) -> None:
    pid = old.start(
        *("-machine", "q35", "-nodefaults", "-display", "none"),
        *("-qmp", "unix:q,server=on,wait=off"),
    )
    os.kill(pid, signal.SIGSTOP)
    done = old.home("capture", f"pid:{pid}", "-f", "json")
    assert done.rc == 0, done.err
    assert done.json["asked"] is False
    assert "SIGSTOP" in done.err + str(done.json["report"])


def test_words_that_came_from_a_file(old: Old) -> None:
    home = old.home
    old.image("a")
    (old.directory / "qemu.conf").write_text(
        '[machine]\ntype = "q35"\n'
        '[memory]\nsize = "64M"\n[smp-opts]\ncpus = "2"\n'
        '[drive "d"]\nfile = "a"\nif = "none"\nformat = "qcow2"\n'
        '[device "vd"]\ndriver = "virtio-blk-pci"\ndrive = "d"\n'
        '[chardev "m"]\nbackend = "socket"\npath = "q"\n'
        'server = "on"\nwait = "off"\n'
        '[mon]\nchardev = "m"\nmode = "control"\n'
    )
    child = old.start("-readconfig", "qemu.conf", "-display", "none")
    before = ask(home, f"pid:{child}")
    file, report = old.capture(child)
    assert "readconfig" not in file.read_text()
    assert home("quit", f"pid:{child}").rc == 0
    created(home, "web", file)
    after = ask(home, "web")
    assert after.pop("name") == {"name": "web"}
    assert after.items() <= before.items()
    assert any("-mon chardev=m" in note["word"] for note in report)


def test_a_machine_as_lima_makes_it(old: Old) -> None:
    """Its ports are sockets, which stay with the old process."""
    home = old.home
    old.image("diffdisk")
    (old.directory / "cidata.iso").write_bytes(bytes(1 << 20))
    at = str(old.directory)
    pid = old.start(
        *("-m", "256", "-cpu", "max", "-machine", "q35,vmport=off"),
        *("-smp", "2,sockets=1,cores=2,threads=1"),
        *("-boot", "order=c,splash-time=0,menu=on"),
        *("-drive", f"file={at}/diffdisk,if=virtio,discard=on"),
        *("-drive", "id=cdrom0,if=none,format=raw,readonly=on,"
          f"file={at}/cidata.iso"),
        *("-device", "virtio-scsi-pci,id=scsi0"),
        *("-device", "scsi-cd,bus=scsi0.0,drive=cdrom0"),
        *("-netdev", "user,id=net0,net=192.168.5.0/24,"
          "dhcpstart=192.168.5.15,hostfwd=tcp:127.0.0.1:0-:22"),
        *("-device", "virtio-net-pci,netdev=net0,mac=52:55:55:aa:bb:cc"),
        *("-device", "virtio-rng-pci", "-display", "none"),
        *("-device", "virtio-keyboard-pci", "-device", "qemu-xhci"),
        *("-parallel", "none"),
        *("-chardev", f"socket,id=char-serial,path={at}/serial.sock,"
          f"server=on,wait=off,logfile={at}/serial.log"),
        *("-serial", "chardev:char-serial"),
        *("-chardev", f"socket,id=char-qmp,path={at}/q,server=on,wait=off"),
        *("-qmp", "chardev:char-qmp", "-name", "lima-default"),
        *("-device", "virtio-serial-pci"),
        *("-chardev", f"socket,path={at}/ga.sock,server=on,wait=off,id=qga0"),
        *("-device", "virtserialport,chardev=qga0,name=io.lima.ga"),
        *("-pidfile", f"{at}/qemu.pid"),
    )  # fmt: skip
    listed = home("list", f"pid:{pid}", "-f", "json").json
    assert listed[0]["origin"] == "lima"
    before = ask(home, f"pid:{pid}")
    file, report = old.capture(pid)
    fates = {note["word"]: note["fate"] for note in report}
    assert fates["-qmp chardev:char-qmp"] == "dropped"
    text = file.read_text()
    for name in ("serial.sock", "serial.log", "ga.sock", "qemu.pid"):
        assert name not in text
    assert home("quit", f"pid:{pid}").rc == 0
    created(home, "lima-default", file)
    assert ask(home, "lima-default") == before


def test_one_that_ends_while_it_is_asked(
    old: Old, qemu_home: QemuHome
) -> None:
    """It stops in the middle of an answer, and is killed then."""
    pid = old.start(
        *("-machine", "q35", "-nodefaults", "-display", "none"),
        *("-qmp", "unix:q,server=on,wait=off"),
    )
    with subprocess.Popen(
        [qemu_home.executable, "--trace-qmp", "capture", f"pid:{pid}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=qemu_home.environment,
    ) as capture:
        assert capture.stderr is not None
        said = []
        for line in capture.stderr:
            said.append(line)
            if "query-cpus-fast" in line:
                os.kill(pid, signal.SIGKILL)
                break
        said += capture.stderr.readlines()
        assert capture.wait() == 4, said
    assert "has ended meanwhile" in said[-1]


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
    assert home("create", "web", "--definition", "nowhere").rc != 0
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
