"""capture: command lines as programs write them, and where QEMU puts things.

Taken from the programs' sources and from logs that users published.
"""

import json
import shlex

import pytest

from qemu_cli.instance import definitions
from qemu_cli.instance.capture.draft import Draft, Note
from qemu_cli.instance.capture.ground import Ground
from qemu_cli.instance.capture.places import places
from qemu_cli.instance.capture.service import make
from qemu_cli.instance.capture.words import read
from qemu_cli.instance.model import Definition


def capture(argv: list[str]) -> tuple[Definition, list[Note]]:
    draft = Draft(read(["qemu", *argv], lambda path: None))
    ground = Ground(
        "x86_64", lambda path: f"/w/{path}".replace("/w//", "/"), str, str
    )
    definition = make(draft, ground)
    text = definitions.render(definition)
    assert definitions.parse(text, source="captured") == definition
    # Nothing is passed over in silence.
    assert list(draft.left()) == []
    return definition, draft.notes


QUICKEMU = """
-name ubuntu,process=ubuntu -machine q35,smm=off,vmport=off,accel=kvm
-global kvm-pit.lost_tick_policy=discard -cpu host
-smp cores=2,threads=1,sockets=1 -m 4G -device virtio-balloon
-rtc base=utc,clock=host -pidfile ubuntu/ubuntu.pid -vga none
-device virtio-vga-gl,xres=1280,yres=800 -display sdl,gl=on
-device virtio-rng-pci,rng=rng0
-object rng-random,id=rng0,filename=/dev/urandom
-device qemu-xhci,id=spicepass
-chardev spicevmc,id=usbredirchardev1,name=usbredir
-device usb-redir,chardev=usbredirchardev1,id=usbredirdev1
-device pci-ohci,id=smartpass -device usb-ccid -device usb-ehci,id=input
-device usb-kbd,bus=input.0 -k en-us -device usb-tablet,bus=input.0
-audiodev pa,id=audio0 -device intel-hda -device hda-micro,audiodev=audio0
-device virtio-net,netdev=nic
-netdev user,hostname=ubuntu,hostfwd=tcp::22220-:22,id=nic
-global driver=cfi.pflash01,property=secure,value=on
-drive if=pflash,format=raw,unit=0,file=/usr/share/OVMF/CODE.fd,readonly=on
-drive if=pflash,format=raw,unit=1,file=ubuntu/OVMF_VARS.fd
-drive media=cdrom,index=0,file=ubuntu/ubuntu.iso
-device virtio-blk-pci,drive=SystemDisk
-drive id=SystemDisk,if=none,format=qcow2,file=ubuntu/disk.qcow2
-monitor unix:ubuntu/ubuntu-monitor.socket,server,nowait
-serial unix:ubuntu/ubuntu-serial.socket,server,nowait
"""


def test_quickemu() -> None:
    definition, notes = capture(shlex.split(QUICKEMU))
    machine = definition.machine
    assert (machine.accel, machine.cpu, machine.cpus) == ("kvm", "host", 2)
    [disk] = definition.disks
    assert (disk.file, disk.bus) == ("/w/ubuntu/disk.qcow2", "virtio")
    cd, empty = definition.cdroms  # a PC has one where none is said
    assert (cd.file, cd.slot) == ("/w/ubuntu/ubuntu.iso", "ide.0:0")
    assert (empty.file, empty.slot) == (None, "ide.2:0")
    args = definition.qemu_args
    assert "if=pflash,format=raw,unit=1,file=/w/ubuntu/OVMF_VARS.fd" in args
    assert "null,id=usbredirchardev1" in args
    assert "user,hostname=ubuntu,hostfwd=tcp::22220-:22,id=nic" in args
    assert not any(".socket" in word for word in args)
    dropped = [note.word for note in notes if note.fate == "dropped"]
    assert "-monitor unix:ubuntu/ubuntu-monitor.socket,server,nowait" in (
        dropped
    )


PROXMOX = """
-id 114 -name web,debug-threads=on -no-shutdown
-chardev socket,id=qmp,path=/var/run/qemu-server/114.qmp,server=on,wait=off
-mon chardev=qmp,mode=control
-chardev socket,id=qmp-event,path=/var/run/qmeventd.sock,reconnect=5
-mon chardev=qmp-event,mode=control -pidfile /var/run/qemu-server/114.pid
-daemonize -smbios type=1,uuid=2a7ff3d4-0000-4000-8000-0123456789ab
-smp 2,sockets=1,cores=2,maxcpus=2 -nodefaults
-boot menu=on,strict=on,reboot-timeout=1000
-vnc unix:/var/run/qemu-server/114.vnc,password=on -cpu kvm64,enforce,+lahf_lm
-m 2048 -object iothread,id=iothread-virtioscsi0
-device pci-bridge,id=pci.1,chassis_nr=1,bus=pci.0,addr=0x1e
-device piix3-usb-uhci,id=uhci,bus=pci.0,addr=0x1.0x2
-device VGA,id=vga,bus=pci.0,addr=0x2
-chardev socket,path=/var/run/qemu-server/114.qga,server=on,wait=off,id=qga0
-device virtio-serial,id=qga0,bus=pci.0,addr=0x8
-device virtserialport,chardev=qga0,name=org.qemu.guest_agent.0
-device virtio-scsi-pci,id=virtioscsi0,bus=pci.3,addr=0x1,
"""


def test_proxmox() -> None:
    line = PROXMOX.strip().rstrip(",") + (
        ",iothread=iothread-virtioscsi0"
        " -drive file=/dev/pve/vm-114-disk-0,if=none,id=drive-scsi0,"
        "format=raw,cache=none,aio=io_uring,detect-zeroes=on"
        " -device scsi-hd,bus=virtioscsi0.0,channel=0,scsi-id=0,lun=0,"
        "drive=drive-scsi0,id=scsi0,bootindex=100"
        " -netdev type=tap,id=net0,ifname=tap114i0,script=/usr/libexec/"
        "qemu-server/pve-bridge,downscript=/x,vhost=on"
        " -device virtio-net-pci,mac=BC:24:11:AA:BB:CC,netdev=net0,"
        "bus=pci.0,addr=0x12,id=net0,bootindex=101 -machine type=pc+pve0"
    )
    definition, notes = capture(shlex.split(line))
    [disk] = definition.disks
    assert (disk.id, disk.bus, disk.format) == ("scsi0", "scsi", "raw")
    assert disk.cache == "none"
    assert disk.properties["bootindex"] == "100"
    [nic] = definition.nics
    assert (nic.id, nic.backend, nic.mac) == (
        *("net0", "user", "bc:24:11:aa:bb:cc"),
    )
    assert "chardev=agent0" in " ".join(definition.qemu_args)
    assert "qemu-server" not in " ".join(definition.qemu_args)
    by_word = {note.word.split()[0]: note for note in notes}
    assert "had set up" in by_word["-netdev"].why
    assert by_word["-no-shutdown"].fate == "dropped"


LIBVIRT = [
    *("-name", "guest=web,debug-threads=on", "-S"),
    "-object",
    '{"qom-type":"secret","id":"masterKey0","format":"raw","file":"/k"}',
    *(
        "-machine",
        "pc-q35-7.2,usb=off,dump-guest-core=off,memory-backend=pc.ram",
    ),
    *("-accel", "kvm", "-cpu", "host,migratable=on", "-m", "1024"),
    "-object",
    '{"qom-type":"memory-backend-ram","id":"pc.ram","size":1073741824}',
    *("-overcommit", "mem-lock=off", "-smp", "2,sockets=2,cores=1,threads=1"),
    *("-uuid", "8a4e2d0e-0000-4000-8000-0123456789ab"),
    *("-no-user-config", "-nodefaults"),
    *("-chardev", "socket,id=charmonitor,fd=29,server=on,wait=off"),
    *("-mon", "chardev=charmonitor,id=monitor,mode=control"),
    *("-rtc", "base=utc,driftfix=slew", "-no-shutdown", "-boot", "strict=on"),
    "-device",
    '{"driver":"pcie-root-port","port":16,"chassis":1,"id":"pci.1",'
    '"bus":"pcie.0","multifunction":true,"addr":"0x2"}',
    "-blockdev",
    '{"driver":"file","filename":"/i/web.qcow2","node-name":"l-1-storage",'
    '"auto-read-only":true,"discard":"unmap"}',
    "-blockdev",
    '{"node-name":"l-1-format","read-only":false,"driver":"qcow2",'
    '"file":"l-1-storage","backing":null}',
    "-device",
    '{"driver":"virtio-blk-pci","bus":"pci.1","addr":"0x0",'
    '"drive":"l-1-format","id":"virtio-disk0","bootindex":1}',
    *("-netdev", "tap,fd=30,id=hostnet0,vhost=on,vhostfd=32"),
    "-device",
    '{"driver":"virtio-net-pci","netdev":"hostnet0","id":"net0",'
    '"mac":"52:54:00:6b:3c:58","bus":"pci.2","addr":"0x0"}',
    *("-chardev", "pty,id=charserial0"),
    "-device",
    '{"driver":"isa-serial","chardev":"charserial0","id":"serial0","index":0}',
    *("-chardev", "socket,id=charchannel0,fd=28,server=on,wait=off"),
    "-device",
    '{"driver":"virtserialport","bus":"virtio-serial0.0","nr":1,'
    '"chardev":"charchannel0","id":"channel0",'
    '"name":"org.qemu.guest_agent.0"}',
    *("-vnc", "127.0.0.1:0,audiodev=audio1"),
    *("-sandbox", "on,obsolete=deny", "-msg", "timestamp=on"),
]


def test_libvirt() -> None:
    definition, notes = capture(LIBVIRT)
    [disk] = definition.disks
    assert (disk.id, disk.file, disk.format) == (
        *("virtio-disk0", "/i/web.qcow2", "qcow2"),
    )
    assert disk.properties == {
        "bus": "pci.1",
        "addr": "0x0",
        "bootindex": "1",
    }
    [nic] = definition.nics
    assert nic.mac == "52:54:00:6b:3c:58"
    devices = [
        json.loads(word) for word in definition.qemu_args if word[0] == "{"
    ]
    by_id = {each["id"]: each for each in devices}
    assert by_id["serial0"]["chardev"] == "serial0"
    assert by_id["channel0"]["chardev"] == "agent0"
    assert "masterKey0" not in by_id
    assert by_id["pc.ram"]["size"] == 1 << 30
    assert "fd=" not in " ".join(definition.qemu_args)
    assert {note.fate for note in notes} == {
        *("kept", "changed", "dropped", "differs"),
    }


@pytest.mark.parametrize(
    ("line", "machine", "expected"),
    [
        ("-device e1000 -drive if=virtio -device rtl8139", "pc-7.2", "4 6 5"),
        ("-vga none -device e1000 -net none", "pc-7.2", "2"),
        ("-device VGA -device e1000 -net none", "pc-7.2", "2 3"),
        ("-device e1000,addr=5 -device e1000,addr=0x6.1 -device e1000 "
         "-nic user -nic user", "pc-7.2", "5 6.1 7"),
        ("-device e1000 -nodefaults", "pc-q35-7.2", "1"),
        ("-device e1000 -device usb-kbd -device e1000", "pc-q35-7.2", "3 4"),
        ("-device e1000,bus=rp1", "pc-q35-7.2", ""),
        ("-device what-is-this -device e1000", "pc-q35-7.2", ""),
        ("-device e1000", "sun4m", ""),
        ("-device e1000 -net none", "virt-7.2", "1"),
    ],
)  # fmt: skip
def test_places_on_the_bus(line: str, machine: str, expected: str) -> None:
    found = places(read(["qemu", *shlex.split(line)], str), machine)
    numbers = [found[number].pci or "" for number in sorted(found)]
    told = " ".join(number.lstrip("0") for number in numbers)
    assert told == expected
