"""clone, with real disks and the real guest."""

import socket
from collections.abc import Callable
from pathlib import Path

from qemu_cli.testing.home import QemuHome, Result
from tests.functional.change.contents import (
    SMALL,
    actions,
    chain,
    definition,
    disk,
    holds,
    ok,
    write,
)


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
