"""capture: from words to a definition, where no monitor can be asked."""

import shlex
from typing import Any

import msgspec
import pytest

from qemu_cli.instance import argv, definitions
from qemu_cli.instance.capture.draft import Draft, Note
from qemu_cli.instance.capture.ground import Ground
from qemu_cli.instance.capture.live import Live
from qemu_cli.instance.capture.service import make
from qemu_cli.instance.capture.words import read
from qemu_cli.instance.model import Definition
from qemu_cli.paths import Paths
from qemu_cli.profiles.bare import Bare

#: What a board is, to the QEMU of this host.
BOARDS = {"pc": "pc-i440fx-7.2", "q35": "pc-q35-7.2", "virt": "virt-7.2"}


def absolute(path: str) -> str:
    return path if path.startswith("/") else f"/w/{path}"


def capture(
    line: str, live: Live | None = None, arch: str = "x86_64"
) -> tuple[Definition, list[Note]]:
    draft = Draft(read(["qemu", *shlex.split(line)], {}.get))
    ground = Ground(
        arch,
        absolute,
        lambda path: path,
        lambda name: BOARDS.get(name, name if "-" in name else None),
        live,
    )
    definition = make(draft, ground)
    # What can't be read again is no definition.
    text = definitions.render(definition)
    assert definitions.parse(text, source="captured") == definition
    return definition, draft.notes


def fates(notes: list[Note]) -> dict[str, str]:
    """What became of each word, without its value."""
    return {note.word.partition(" ")[0]: note.fate for note in notes}


def starts_with(definition: Definition, paths: Paths) -> tuple[str, ...]:
    from pathlib import Path

    return argv.build(
        definition, Bare(), paths.instance("web"), binary=Path("qemu")
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", {"type": "pc-i440fx-7.2", "accel": "tcg", "cpu": "qemu64"}),
        ("-M q35 -accel kvm", {"type": "pc-q35-7.2", "accel": "kvm"}),
        ("-machine type=q35,accel=kvm:tcg", {"accel": "auto"}),
        ("-machine pc -enable-kvm", {"accel": "kvm"}),
        ("-machine pc-q35-6.2", {"type": "pc-q35-6.2"}),
        ("-machine odd", {"type": "odd"}),
        ("-accel xen", {"accel": "auto"}),
        ("-cpu host,-svm,+avx", {"cpu": "host,-svm,+avx"}),
        ("-smp 4", {"cpus": 4, "max_cpus": 4}),
        ("-smp 2,maxcpus=8", {"cpus": 2, "max_cpus": 8}),
        ("-smp sockets=2,cores=2,threads=2", {"cpus": 8, "max_cpus": 8}),
        ("-smp 4,cores=2", {"cpus": 4, "max_cpus": 4}),
        ("-smp maxcpus=8", {"cpus": 8, "max_cpus": 8}),
        ("", {"memory_mib": 128, "memory_slots": 0}),
        ("-m 512", {"memory_mib": 512}),
        ("-m size=2G,slots=4,maxmem=8G",
         {"memory_mib": 2048, "memory_slots": 4, "max_memory_mib": 8192}),
        ("-m 1.5G", {"memory_mib": 1536}),
        ("-m 1025k", {"memory_mib": 2}),
    ],
)  # fmt: skip
def test_the_board(line: str, expected: dict[str, Any]) -> None:
    definition, _ = capture(line)
    machine = msgspec.to_builtins(definition.machine)
    found = {key: machine.get(key, 0) for key in expected}
    assert found == expected


def test_the_rest_of_the_board_is_said_again() -> None:
    line = "-nodefaults -machine q35,smm=on -smp 4,cores=2 -m 1G"
    definition, notes = capture(line)
    assert definition.qemu_args == (
        *("-machine", "smm=on"),
        *("-smp", "cores=2"),
    )
    assert fates(notes)["-machine"] == "changed"


@pytest.mark.parametrize(
    ("line", "disk"),
    [
        (
            "-drive file=d.qcow2,format=qcow2,if=virtio,cache=none",
            {"file": "/w/d.qcow2", "bus": "virtio", "cache": "none"},
        ),
        (
            "-drive file=/a,,b,format=raw,index=1",
            {"file": "/a,b", "bus": "ide", "slot": "ide.0:1"},
        ),
        (
            "-machine q35 -drive file=/d,format=raw,index=1",
            {"bus": "sata", "slot": "ide.1:0"},
        ),
        (
            "-drive file=/d,format=raw,readonly=on,if=none,id=x "
            "-device virtio-blk-pci,drive=x,id=vd,serial=S,addr=5",
            {
                "id": "vd",
                "read_only": True,
                "slot": "pci.0:05",
                "properties": {"serial": "S"},
            },
        ),
        (
            "-blockdev driver=file,filename=d,node-name=f "
            "-blockdev qcow2,file=f,node-name=n,cache.direct=on "
            "-device scsi-hd,drive=n,lun=2,write-cache=off",
            {
                "file": "/w/d",
                "format": "qcow2",
                "cache": "directsync",
                "bus": "scsi",
                "properties": {"lun": "2"},
            },
        ),
        (
            """-blockdev '{"driver":"raw","node-name":"n","file":"""
            """{"driver":"file","filename":"/d"},"read-only":false}' """
            """-device '{"driver":"nvme","drive":"n","serial":"x"}'""",
            {"file": "/d", "format": "raw", "bus": "nvme"},
        ),
        (
            "-drive file=/d,format=raw,bps=1024,throttling.iops-read=5",
            {"throttle": {"bps": 1024, "iops_read": 5}},
        ),
        ("-drive file=/d,format=raw,cache=unsafe", {"cache": "unsafe"}),
        (
            "-drive file=/d,format=raw,cache=writethrough",
            {"cache": "writethrough"},
        ),
    ],
)
def test_a_disk(line: str, disk: dict[str, Any], tmp_path: Any) -> None:
    definition, notes = capture(f"-nodefaults {line}")
    [found] = msgspec.to_builtins(definition)["disks"]
    assert {key: found.get(key) for key in disk} == disk
    assert definition.qemu_args == ()
    assert set(fates(notes).values()) <= {"differs"}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("-drive file=d,if=virtio", "the format of its image is not said"),
        ("-hda d", "the format of its image is not said"),
        ("d", "the format of its image is not said"),
        ("-drive file=d,format=luks", "the format of its image is luks"),
        ("-drive file=d,format=raw,snapshot=on", "snapshot=on"),
        ("-drive file=d,format=raw -snapshot", "-snapshot"),
        ("-drive file=nbd://h/x,format=raw", "nbd://h/x is no file"),
        ("-drive file=rbd:a/b,format=raw", "rbd:a/b is no file"),
        ("-drive file=d,format=raw,copy-on-read=on", "copy-on-read=on"),
        (
            "-blockdev nbd,host=h,node-name=p -blockdev "
            "raw,file=p,node-name=n -device virtio-blk-pci,drive=n",
            "file.host=h",
        ),
    ],
)
def test_a_disk_that_stays_in_words(line: str, why: str) -> None:
    definition, notes = capture(f"-nodefaults {line}")
    assert definition.disks == ()
    assert any(why in note.why for note in notes), notes
    assert {note.fate for note in notes} <= {"kept", "changed", "differs"}
    text = " ".join(definition.qemu_args)
    assert "/w/d" in text or "nbd" in text or "rbd" in text


def test_cd_drives() -> None:
    definition, _ = capture("-cdrom x.iso")
    [cd] = definition.cdroms
    assert (cd.file, cd.slot) == ("/w/x.iso", "ide.1:0")
    definition, _ = capture("-machine q35")
    [empty] = definition.cdroms
    assert (empty.file, empty.slot) == (None, "ide.2:0")
    definition, _ = capture("-nodefaults -machine q35")
    assert definition.cdroms == ()
    line = "-drive file=/x,media=cdrom,if=none,id=c -device scsi-cd,drive=c"
    definition, _ = capture(f"{line},bus=s.0")
    [cd] = definition.cdroms
    assert (cd.file, cd.properties) == ("/x", {"bus": "s.0"})


@pytest.mark.parametrize(
    ("line", "nic", "args"),
    [
        (
            "-netdev user,id=n,hostfwd=tcp:127.0.0.1:22-:2222,"
            "hostfwd=udp::53-:53 -device virtio-net-pci,netdev=n,mac={mac}",
            {
                "mac": "52:54:00:aa:bb:cc",
                "forwards": (
                    {
                        "host_port": 22,
                        "guest_port": 2222,
                        "host_address": "127.0.0.1",
                    },
                    {
                        "host_port": 53,
                        "guest_port": 53,
                        "host_address": "0.0.0.0",
                        "protocol": "udp",
                    },
                ),
            },
            (),
        ),
        (
            "-netdev bridge,id=n,br=virbr0 -device virtio-net,netdev=n,id=x",
            {"id": "x", "backend": "bridge", "bridge": "virbr0"},
            (),
        ),
        (
            "-netdev tap,id=n,fd=30,vhost=on -device virtio-net-pci,netdev=n"
            ",mq=on",
            {"backend": None, "properties": {"mq": "on"}},
            (),
        ),
        (
            "-netdev user,id=n,restrict=on -device virtio-net-pci,netdev=n",
            None,
            ("-netdev", "user,id=n,restrict=on"),
        ),
        (
            "-netdev user,id=n,smb=/x -device e1000,netdev=n",
            None,
            ("-netdev", "user,id=n"),
        ),
        (
            "-netdev tap,id=n -device e1000,netdev=n",
            None,
            ("-netdev", "user,id=n"),
        ),
        (
            "-netdev tap,id=n,ifname=t,script=no,downscript=no "
            "-device virtio-net-pci,netdev=n",
            None,
            ("-netdev", "tap,id=n,ifname=t,script=no,downscript=no"),
        ),
        ("-nic bridge,br=b,model=e1000", None,
         ("-nic", "user,model=e1000")),
        ("-nic user,hostfwd=tcp::1-:1", None,
         ("-nic", "user,hostfwd=tcp::1-:1")),
        ("-nic none", None, ("-nic", "none")),
    ],
)  # fmt: skip
def test_network_cards(
    line: str, nic: dict[str, Any] | None, args: tuple[str, ...]
) -> None:
    mac = "52:54:00:AA:BB:CC"
    definition, notes = capture(f"-nodefaults {line.format(mac=mac)}")
    found = msgspec.to_builtins(definition).get("nics", ())
    if nic is None:
        assert found == ()
    else:
        assert {key: found[0].get(key) for key in nic} == nic
    assert definition.qemu_args[: len(args)] == args
    if "tap,id=n,fd" in line or "bridge,br" in line:
        assert any("had set up" in note.why for note in notes)


def test_macs_are_those_that_qemu_makes() -> None:
    """The second of two cards gets the second of QEMU's own."""
    line = "-netdev user,id=a -netdev user,id=b -device virtio-net-pci,"
    definition, _ = capture(f"{line}netdev=a -device virtio-net-pci,netdev=b")
    assert [nic.mac[-2:] for nic in definition.nics] == ["56", "57"]


@pytest.mark.parametrize(
    ("line", "args"),
    [
        ("-serial stdio", ("-serial", "chardev:serial0")),
        ("-serial mon:stdio", ("-serial", "chardev:serial0")),
        ("-serial none", ("-serial", "none")),
        (
            "-chardev pty,id=c -serial chardev:c -serial file:x",
            ("-serial", "chardev:serial0", "-serial", "null"),
        ),
        (
            "-chardev pty,id=c -device isa-serial,chardev=c,index=0",
            ("-device", "isa-serial,index=0,chardev=serial0"),
        ),
        (
            "-chardev socket,id=a,path=/a,server=on,wait=off -device "
            "virtserialport,chardev=a,name=org.qemu.guest_agent.0",
            (
                "-device",
                "virtserialport,name=org.qemu.guest_agent.0,chardev=agent0",
            ),
        ),
        (
            "-chardev spicevmc,id=v,name=vdagent "
            "-device virtserialport,chardev=v",
            ("-chardev", "null,id=v", "-device", "virtserialport,chardev=v"),
        ),
        ("-parallel lp", ("-parallel", "null")),
        ("-qmp unix:q,server=on,wait=off -monitor stdio", ()),
        ("-chardev socket,id=m,path=q -mon m,mode=control", ()),
        ("-gdb tcp::1 -S -pidfile p -daemonize -sandbox on -s", ()),
        ("-incoming tcp:0:4444 -loadvm s -no-shutdown -D l", ()),
        ("-action shutdown=pause,panic=none", ("-action", "panic=none")),
        ("-object secret,id=s,data=hunter2", ()),
        ("-name a,process=b -uuid {uuid}", ()),
        ("-rtc base=localtime", ("-rtc", "base=localtime")),
        ("-mem-path m -usb", ("-mem-path", "/w/m", "-usb")),
        ("-virtfs local,path=p,mount_tag=t,security_model=none",
         ("-fsdev", "local,id=t,path=/w/p,security_model=none", "-device",
          "virtio-9p-pci,fsdev=t,mount_tag=t,bus=pci.0,addr=0x02")),
        ("-tpmdev emulator,id=t,chardev=c -device tpm-tis,tpmdev=t", ()),
    ],
)  # fmt: skip
def test_ports_and_the_rest(line: str, args: tuple[str, ...]) -> None:
    uuid = "aabbccdd-0000-0000-0000-AABBCCDDEEFF"
    definition, notes = capture(f"-nodefaults {line.format(uuid=uuid)}")
    assert definition.qemu_args == args
    assert "hunter2" not in definitions.render(definition)
    if "uuid" in line:
        assert definition.uuid == uuid.lower()
    assert notes


@pytest.mark.parametrize(
    ("line", "display"),
    [
        ("", "vnc"),
        ("-nographic", "none"),
        ("-display none", "none"),
        ("-display gtk,gl=on", "gtk"),
        ("-vnc :1", "vnc"),
        ("-vnc none", "none"),
        ("-spice port=5900,disable-ticketing=on", "vnc"),
        ("-sdl", "sdl"),
    ],
)
def test_the_screen(line: str, display: str) -> None:
    definition, _ = capture(line)
    assert definition.display == display


def test_what_a_pc_has_without_being_told(paths: Paths) -> None:
    definition, _ = capture("")
    assert definition.qemu_args == (
        *("-serial", "chardev:serial0", "-parallel", "null", "-vga", "std"),
        *("-nic", "user,model=e1000", "-drive", "if=floppy,index=0"),
    )
    definition, _ = capture("-M q35 -nographic -vga none -net none")
    assert definition.qemu_args == (
        *("-vga", "none", "-net", "none", "-serial", "chardev:serial0"),
    )
    _, notes = capture("-M virt", arch="aarch64")
    assert "what QEMU adds without being told" in [n.word for n in notes]
    words = starts_with(definition, paths)
    assert words.count("-serial") == 1
    assert "strict=on" not in words


def test_what_is_as_an_instance_has_it_is_no_news() -> None:
    line = "-chardev pty,id=serial0 -serial chardev:serial0"
    definition, notes = capture(f"-nodefaults {line}")
    assert definition.qemu_args == ("-serial", "chardev:serial0")
    assert "-serial" not in fates(notes)


def test_a_kernel() -> None:
    line = "-kernel k -initrd /i -append 'a=b,c d'"
    boot = capture(line)[0].boot
    assert boot is not None
    assert (boot.kernel, boot.initrd, boot.append) == (
        "/w/k",
        "/i",
        "a=b,c d",
    )


@pytest.fixture
def paths(tmp_path: Any) -> Paths:
    return Paths(
        data=tmp_path, state=tmp_path, cache=tmp_path, config=tmp_path
    )
