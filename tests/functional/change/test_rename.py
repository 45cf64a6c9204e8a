"""rename, with all that names an instance."""

import subprocess
from pathlib import Path

from qemu_cli.testing.home import QemuHome
from tests.functional.change.contents import (
    SMALL,
    actions,
    chain,
    disk,
    holds,
    ok,
)


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
