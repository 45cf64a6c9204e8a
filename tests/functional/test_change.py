"""rename, clone, set and edit, with real disks and the real guest."""

import json
import os
import socket
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qemu_cli.testing.home import QemuHome, Result
from qemu_cli.testing.plugin import TinyGuest

SMALL = ("--memory", "64M", "--accel", "tcg")


def ok(result: Result) -> Result:
    assert result.rc == 0, result.err
    return result


def definition(home: QemuHome, name: str) -> dict[str, Any]:
    return tomllib.loads(home.paths.instance(name).definition.read_text())


def disk(home: QemuHome, name: str, number: int = 0) -> tuple[Path, str]:
    entry = definition(home, name)["disks"][number]
    directory = home.paths.instance(name).directory
    return directory / entry["file"], entry["format"]


def chain(home: QemuHome, name: str, number: int = 0) -> list[Path]:
    image, image_format = disk(home, name, number)
    said = subprocess.check_output(
        [
            *("qemu-img", "info", "--output=json", "--backing-chain"),
            *("-f", image_format, image),
        ],
        timeout=60,
    )
    return [Path(layer["filename"]).resolve() for layer in json.loads(said)]


def qemu_io(home: QemuHome, name: str, command: str, number: int = 0) -> bool:
    image, image_format = disk(home, name, number)
    done = subprocess.run(
        ["qemu-io", "-f", image_format, "-c", command, image],
        stdout=subprocess.DEVNULL,
        timeout=60,
    )
    return done.returncode == 0


def write(home: QemuHome, name: str, pattern: int, number: int = 0) -> None:
    assert qemu_io(home, name, f"write -P {pattern} 0 1M", number)


def holds(home: QemuHome, name: str, pattern: int, number: int = 0) -> bool:
    return qemu_io(home, name, f"read -P {pattern} 0 1M", number)


def actions(home: QemuHome, name: str) -> list[str]:
    lines = home.paths.instance(name).history.read_text().splitlines()
    return [json.loads(line)["action"] for line in lines]


@pytest.fixture
def web(qemu_home: QemuHome) -> QemuHome:
    """A home with a VM called web, with something on its disk."""
    words = ("--disk", "8M", "--forward", "22", *SMALL)
    ok(qemu_home("create", "web", *words))
    write(qemu_home, "web", 1)
    return qemu_home


def test_a_linked_clone(web: QemuHome) -> None:
    ok(web("clone", "web", "two"))
    assert holds(web, "two", 1)
    # Both write, and neither sees it of the other.
    write(web, "web", 2)
    write(web, "two", 3)
    assert holds(web, "web", 2)
    assert holds(web, "two", 3)
    # What was web's disk is below both now.
    base = web.paths.instance("web").directory.resolve() / "disk0.qcow2"
    assert chain(web, "web")[1:] == chain(web, "two")[1:] == [base]
    old, new = definition(web, "web"), definition(web, "two")
    assert old["uuid"] != new["uuid"]
    assert old["nics"][0]["mac"] != new["nics"][0]["mac"]
    ports = [d["nics"][0]["forwards"][0] for d in (old, new)]
    assert ports[0]["host_port"] != ports[1]["host_port"]
    assert ports[0]["guest_port"] == ports[1]["guest_port"] == 22
    assert actions(web, "web")[-1] == actions(web, "two")[-1] == "clone"
    # Both run at the same time.
    ok(web("start", "web", "two", "--paused"))
    ok(web("quit", "web", "two"))


def test_the_base_of_a_clone_is_not_deleted(web: QemuHome) -> None:
    ok(web("clone", "web", "two"))
    refused = web("delete", "web", "--yes")
    assert refused.rc == 4
    assert "'two'" in refused.err
    assert "disk0.qcow2 (" not in refused.err  # nothing is going
    # Nor when the clone's definition can't be read.
    paths = web.paths.instance("two")
    good = paths.definition.read_text()
    paths.definition.write_text("x = [")
    assert web("delete", "web", "--yes").rc == 4
    paths.definition.write_text(good)
    assert holds(web, "two", 1)
    ok(web("delete", "two", "--yes"))
    ok(web("delete", "web", "--yes"))


def test_a_family_of_clones_is_deleted_at_once(web: QemuHome) -> None:
    ok(web("clone", "web", "child"))
    write(web, "child", 2)
    ok(web("clone", "child", "another"))  # neither older nor later by name
    ok(web("create", "alone", *SMALL))
    refused = web("delete", "web", "child", "--yes", "-f", "json")
    assert refused.rc == 4
    assert {row["code"] for row in refused.json} == {4}
    assert holds(web, "another", 2)
    ok(web("delete", "--all", "--yes"))
    assert ok(web("list", "-q")).out == ""


def test_clones_of_a_template_do_not_make_it_deeper(web: QemuHome) -> None:
    for name in ("c1", "c2", "c3"):
        ok(web("clone", "web", name))
    assert len(chain(web, "web")) == len(chain(web, "c3")) == 2
    write(web, "web", 4)
    ok(web("clone", "web", "c4"))
    assert len(chain(web, "web")) == len(chain(web, "c4")) == 3
    assert holds(web, "c4", 4)
    assert holds(web, "c3", 1)
    # A clone of a clone.
    write(web, "c4", 5)
    ok(web("clone", "c4", "c5"))
    write(web, "c4", 6)
    assert holds(web, "c5", 5)
    assert holds(web, "web", 4)


def test_a_full_clone_stands_alone(web: QemuHome) -> None:
    ok(web("clone", "web", "linked"))
    made = ok(web("clone", "linked", "copy", "--full"))
    assert "are free" in made.err
    assert len(chain(web, "copy")) == 1
    ok(web("delete", "linked", "--yes"))
    ok(web("delete", "web", "--yes"))
    assert holds(web, "copy", 1)


def test_disks_of_every_kind(qemu_home: QemuHome, tmp_path: Path) -> None:
    raw, shared, iso = (tmp_path / f"{each}.img" for each in "rsi")
    for number, file in enumerate((raw, shared, iso)):
        file.write_bytes(bytes([20 + number]) * (1 << 20))
    ok(
        qemu_home(
            *("create", "vm", "--in-place", "--disk", f"{raw},format=raw"),
            *("--disk", f"{shared},format=raw,readonly=on"),
            *("--cdrom", iso, *SMALL),
        )
    )
    before = [file.read_bytes() for file in (raw, shared, iso)]
    ok(qemu_home("clone", "vm", "linked"))
    write(qemu_home, "vm", 2)
    write(qemu_home, "linked", 3)
    # In place no more: the clone stands on that file.
    assert before == [file.read_bytes() for file in (raw, shared, iso)]
    assert disk(qemu_home, "linked", 1)[0] == shared
    assert definition(qemu_home, "linked")["cdroms"][0]["file"] == str(iso)
    ok(qemu_home("clone", "vm", "copy", "--full"))
    assert holds(qemu_home, "copy", 2)
    assert holds(qemu_home, "copy", 21, 1)
    ok(qemu_home("start", "vm", "linked", "copy", "--paused"))
    ok(qemu_home("quit", "vm", "linked", "copy"))


def test_firmware_and_tpm_go_along(qemu_home: QemuHome) -> None:
    words = ("--firmware", "uefi", "--tpm", "--disk", "8M", *SMALL)
    ok(qemu_home("create", "vm", *words))
    ok(qemu_home("start", "vm", "--paused"))
    ok(qemu_home("quit", "vm"))
    state = qemu_home.paths.instance("vm").tpm_state
    kept = {p.name: p.read_bytes() for p in state.iterdir() if p.is_file()}
    assert kept
    ok(qemu_home("clone", "vm", "linked"))
    ok(qemu_home("clone", "vm", "copy", "--full"))
    copied = qemu_home.paths.instance("copy").tpm_state
    for name in kept:
        assert (copied / name).exists()
    assert not list(qemu_home.paths.instance("linked").tpm_state.iterdir())
    ok(qemu_home("start", "linked", "copy", "--paused"))
    ok(qemu_home("quit", "linked", "copy"))


def test_a_clone_that_is_refused(web: QemuHome) -> None:
    ok(web("create", "other", *SMALL))
    assert web("clone", "web", "other").rc == 4
    assert web("clone", "web", "web").rc == 2
    assert web("clone", "nosuch", "new").rc == 3
    ok(web("start", "web", "--paused"))
    running = web("clone", "web", "new")
    assert running.rc == 4
    assert "qemu shutdown web" in running.err
    assert web("rename", "web", "new").rc == 4
    ok(web("quit", "web"))
    planned = ok(web("clone", "web", "new", "--dry-run"))
    assert "qemu-img create" in planned.out
    assert web("list", "-q").out == "other\nweb\n"


def test_rename_takes_all_along(web: QemuHome) -> None:
    ok(web("clone", "web", "two"))
    ok(web("start", "web", "--paused"))
    ok(web("quit", "web"))
    planned = ok(web("rename", "web", "www", "--dry-run"))
    assert "qemu-img rebase" in planned.out
    assert web("list", "-q").out == "two\nweb\n"
    ok(web("rename", "web", "www"))
    assert web("list", "-q").out == "two\nwww\n"
    assert holds(web, "www", 1)
    assert holds(web, "two", 1)
    new = web.paths.instances.resolve() / "www/disk0.qcow2"
    assert chain(web, "two")[1:] == chain(web, "www")[1:] == [new]
    assert actions(web, "www")[-1] == "rename"
    assert "web" in ok(web("log", "www")).out
    assert not web.paths.instance("web").runtime.exists()
    assert not web.paths.instance("web").directory.exists()
    ok(web("start", "www", "two", "--paused"))
    argv = ok(web("show", "www", "-f", "json")).out
    assert "/web/" not in argv
    # The one that stands on it runs: its images can't be told.
    ok(web("quit", "www"))
    refused = web("rename", "www", "web")
    assert refused.rc == 4
    assert "'two' is" in refused.err
    ok(web("quit", "two"))


def test_rename_takes_the_unit_along(web: QemuHome, tmp_path: Path) -> None:
    web.environment["XDG_CONFIG_HOME"] = str(tmp_path)
    ok(web("autostart", "enable", "web", "--user"))
    units = tmp_path / "systemd/user"
    assert "web" in (units / "qemu-web.service").read_text()
    ok(web("rename", "web", "www"))
    assert {path.name for path in units.rglob("*.service")} == {
        "qemu-www.service"
    }
    assert "start www" in (units / "qemu-www.service").read_text()


def test_rename_with_references_of_every_kind(web: QemuHome) -> None:
    """Absolute ones, those of its own images, and of others'."""
    old = web.paths.instance("web").directory
    ok(web("clone", "web", "two"))
    ok(web("create", "user", "--image", old / "disk0.qcow2", *SMALL))
    overlay, _ = disk(web, "web")
    subprocess.run(
        [
            *("qemu-img", "rebase", "-u", "-f", "qcow2", "-F", "qcow2"),
            *("-b", old / "disk0.qcow2", overlay),
        ],
        check=True,
    )
    ok(web("rename", "web", "www"))
    for name in ("www", "user", "two"):
        assert holds(web, name, 1), name
    # A definition that names a file in the directory is not changed.
    kernel = web.paths.instance("www").directory / "vmlinuz"
    kernel.write_bytes(b"")
    ok(web("set", "two", f"kernel={kernel}"))
    refused = web("rename", "www", "web")
    assert refused.rc == 4
    assert "'two'" in refused.err
    assert holds(web, "two", 1)


def in_guest(home: QemuHome, name: str, command: str, answer: str) -> None:
    """Type a command into the guest's shell and wait for its answer."""
    with socket.socket(socket.AF_UNIX) as serial:
        serial.connect(str(home.paths.instance(name).serial_socket))
        serial.settimeout(60)
        serial.sendall(f"{command}\n".encode())
        seen = b""
        while f"\n{answer}\r".encode() not in seen:
            seen += serial.recv(4096)


def test_what_a_guest_wrote_is_in_its_clone_and_stays_apart(
    qemu_home: QemuHome,
    create: Callable[..., Result],
    wait_for_guest: Callable[..., None],
) -> None:
    create("web", "--disk", "16M")
    ok(qemu_home("start", "web"))
    wait_for_guest("web")
    put = "printf %s | dd of=/dev/vda conv=sync,fsync && echo is-written"
    in_guest(qemu_home, "web", put % "FIRST", "is-written")
    ok(qemu_home("shutdown", "web"))
    ok(qemu_home("clone", "web", "two"))
    ok(qemu_home("rename", "web", "www"))
    ok(qemu_home("start", "www", "two"))
    for name in ("www", "two"):
        wait_for_guest(name)
    look = "echo it-is-$(head -c6 /dev/vda | tr -d '\\0')"
    in_guest(qemu_home, "two", look, "it-is-FIRST")
    in_guest(qemu_home, "two", put % "SECOND", "is-written")
    in_guest(qemu_home, "www", look, "it-is-FIRST")
    in_guest(qemu_home, "two", look, "it-is-SECOND")
    ok(qemu_home("shutdown", "www", "two"))


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


def edit(home: QemuHome, script: str, *, rc: int = 0) -> Result:
    """Edit web with an editor that is a sed script."""
    environment = {"VISUAL": "", "EDITOR": f"sed -i -e '{script}'"}
    result = home("edit", "web", environment=environment)
    assert result.rc == rc, result.err
    return result


def test_edit(web: QemuHome) -> None:
    draft = web.paths.instance("web").draft
    assert "64 → 128" in edit(web, "s/_mib = 64/_mib = 128/").err
    assert definition(web, "web")["machine"]["memory_mib"] == 128
    assert "nothing has changed" in edit(web, "s/none/none/").err
    assert actions(web, "web")[-1] == "edit"
    assert not draft.exists()


def test_edit_keeps_a_text_that_is_wrong(web: QemuHome) -> None:
    paths = web.paths.instance("web")
    before = paths.definition.read_text()
    wrong = edit(web, "s/^uuid/uuuid/", rc=1)
    assert "did you mean 'uuid'" in wrong.err
    assert str(paths.draft) in wrong.err
    assert paths.definition.read_text() == before
    assert "uuuid" in paths.draft.read_text()
    # The next one goes on with it.
    again = edit(web, "s/^uuuid/uuid/;s/_mib = 64/_mib = 65/")
    assert "going on with your text" in again.err
    assert "64 → 65" in again.err
    assert not paths.draft.exists()


def test_a_text_that_is_older_than_the_definition(web: QemuHome) -> None:
    draft = web.paths.instance("web").draft
    edit(web, "s/^uuid/uuuid/", rc=1)
    ok(web("set", "web", "cpus=2"))
    refused = edit(web, "s/^uuuid/uuid/", rc=4)
    assert "was changed after your text" in refused.err
    assert "uuuid" in draft.read_text()
    assert definition(web, "web")["machine"]["cpus"] == 2
    os.utime(draft)
    edit(web, "s/^uuuid/uuid/")
    assert definition(web, "web")["machine"]["cpus"] == 1


def test_edit_repairs_a_broken_definition(web: QemuHome) -> None:
    path = web.paths.instance("web").definition
    good = path.read_text()
    path.write_text(good + "what is this\n")
    assert "understood again" in edit(web, "/what is this/d").err
    assert path.read_text() == good


def test_edit_notices_another_change(web: QemuHome, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text(
        f"#!/bin/sh\nsed -i 's/_mib = 64/_mib = 65/' \"$1\"\n"
        f"{web.executable} set web cpus=2\n"
    )
    editor.chmod(0o755)
    environment = {"VISUAL": str(editor)}
    lost = web("edit", "web", environment=environment)
    assert lost.rc == 4
    assert "somebody else" in lost.err
    machine = definition(web, "web")["machine"]
    assert (machine["cpus"], machine["memory_mib"]) == (2, 64)
    assert "_mib = 65" in web.paths.instance("web").draft.read_text()


def test_an_editor_that_fails(web: QemuHome) -> None:
    for editor in ("false", "/nonexistent/editor"):
        environment = {"VISUAL": "", "EDITOR": editor}
        failed = web("edit", "web", environment=environment)
        assert failed.rc in (1, 2)
        assert editor in failed.err
        assert not web.paths.instance("web").draft.exists()
