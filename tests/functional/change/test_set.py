"""set: keys of a definition."""

import pytest

from qemu_cli.testing.home import QemuHome
from qemu_cli.testing.plugin import TinyGuest
from tests.functional.change.contents import SMALL, actions, definition, ok


def test_set(web: QemuHome) -> None:
    path = web.paths.instance("web").definition
    path.write_text(path.read_text() + "\n# my own remark\n")
    told = ok(
        web(
            *("set", "web", "memory=2G", "cpus=12", "forward+=2222:22"),
            *("disks.disk0.cache=none", "plugin.hello.n=3"),
            *("config.shutdown.timeout=3m", "qemu-arg+=-d"),
        )
    )
    assert "machine.memory_mib: 64 → 2048" in told.err
    found = definition(web, "web")
    assert found["machine"]["memory_mib"] == 2048
    assert found["machine"]["cpus"] == found["machine"]["max_cpus"] == 12
    assert found["disks"][0]["cache"] == "none"
    assert [f["host_port"] for f in found["nics"][0]["forwards"]][1] == 2222
    assert found["plugin"] == {"hello": {"n": 3}}
    assert found["config"] == {"shutdown": {"timeout": "3m"}}
    assert found["qemu_args"] == ["-d"]
    assert "# my own remark" in path.read_text()
    assert actions(web, "web")[-1] == "set"
    ok(web("set", "web", "forward-=22", "qemu-arg=", "disks.disk0.cache="))
    found = definition(web, "web")
    assert "forwards" not in found["nics"][0]
    assert "qemu_args" not in found
    assert "nothing has changed" in ok(web("set", "web", "cpus=12")).err


@pytest.mark.parametrize(
    ("assignment", "rc", "why"),
    [
        ("memory", 2, "KEY=VALUE"),
        ("memory=2X", 2, "not a size"),
        ("memory=-1", 2, "not a size"),
        ("mem=2G", 2, "did you mean memory"),
        ("machine.memroy_mib=3", 2, "did you mean 'memory_mib'"),
        ("cpus=0", 2, "machine.cpus"),
        ("cpus=two", 2, "machine.cpus"),
        ("cpus=99999", 2, "machine.cpus"),
        ("arch=arm", 2, "when a VM is created"),
        ("display=3d", 2, "none of none, vnc"),
        ("disks.disk7.cache=none", 2, "there is disk0"),
        ("disks.disk0.cache=bla", 2, "writeback"),
        ("disks=1", 2, "disks"),
        ("memory+=1G", 2, "is not a list"),
        ("forward+=x", 2, "not understood"),
        ("forward-=99", 2, "no such forward"),
        ("qemu-arg-=-x", 2, "no such word"),
        ("config.nosuch=1", 2, "no setting"),
        ("config.shutdown.timeout=soon", 2, "not a duration"),
        ("config.alias.x=start", 2, "can't be set by an instance"),
        ("cdrom=/nonexistent", 2, "no CD drive"),
        ("kernel=/nonexistent", 3, "/nonexistent"),
        ("machine=q35", 2, "machine"),
        ("machine.type=pc-q35-0.1", 2, "no machine type"),
        ("plugin.x=1", 2, "plugin"),
        ("uuid=1", 2, "uuid"),
    ],
)
def test_what_set_refuses(
    web: QemuHome, assignment: str, rc: int, why: str
) -> None:
    path = web.paths.instance("web").definition
    before = path.read_text()
    refused = web("set", "web", "cpus=2", assignment)
    assert refused.rc == rc, refused.err
    assert why in refused.err
    assert "internal error" not in refused.err
    assert path.read_text() == before


def test_more_cpus_than_the_machine_has(
    qemu_home: QemuHome, tiny_guest: TinyGuest
) -> None:
    words = ("--profile", "microvm", "--kernel", tiny_guest.kernel, *SMALL)
    ok(qemu_home("create", "vm", *words))
    refused = qemu_home("set", "vm", "cpus=1000")
    assert refused.rc == 2
    assert "microvm has at most" in refused.err


def test_a_port_of_another_vm(web: QemuHome) -> None:
    ok(web("create", "two", *SMALL))
    port = definition(web, "web")["nics"][0]["forwards"][0]["host_port"]
    refused = web("set", "two", f"forward+={port}:22")
    assert refused.rc == 4
    assert "'web'" in refused.err
    ok(web("set", "two", f"forward+={port}:22/udp"))


def test_a_change_of_a_running_vm_waits(web: QemuHome) -> None:
    ok(web("start", "web", "--paused"))
    assert "next start" in ok(web("set", "web", "memory=128M")).err
    said = ok(web("set", "web", "config.start.timeout=1m")).err
    assert "next start" not in said
    running = ok(web("list", "web", "-f", "json")).json[0]
    assert running["memory_mib"] == 64
    ok(web("quit", "web"))
    ok(web("start", "web", "--paused"))
    running = ok(web("list", "web", "-f", "json")).json[0]
    assert running["memory_mib"] == 128


def test_what_a_saved_state_goes_with(web: QemuHome) -> None:
    ok(web("clone", "web", "two"))
    ok(web("start", "two"))
    ok(web("save", "two"))
    saved = web.paths.instance("two").saved_facts
    refused = web("set", "two", "memory=128M")
    assert refused.rc == 2
    assert "saved state" in refused.err
    assert definition(web, "two")["machine"]["memory_mib"] == 64
    ok(web("set", "two", "config.lock.timeout=9s"))
    assert web("clone", "two", "three").rc == 4
    assert web("rename", "web", "www").rc == 4
    ok(web("rename", "two", "deux"))
    saved = web.paths.instance("deux").saved_facts
    assert saved.exists()
    ok(web("start", "deux"))
    assert not saved.exists()
    ok(web("save", "deux"))
    ok(web("set", "deux", "memory=128M", "--yes"))
    assert not saved.exists()
    ok(web("start", "deux", "--paused"))
