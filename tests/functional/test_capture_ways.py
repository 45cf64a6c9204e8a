"""qemu capture: of QEMUs that can't be asked, and as programs start them."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from qemu_cli.proc import ProcFS
from qemu_cli.testing.home import QemuHome
from tests.functional.capturing import Old, ask, created


@pytest.fixture
def old(short_dir: Path, qemu_home: QemuHome) -> Iterator[Old]:
    directory = short_dir / "old"
    directory.mkdir()
    one = Old(directory, qemu_home)
    yield one
    one.end()


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
