"""qemu export list: of which VMs, and what of them."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from qemu_cli.testing.home import QemuHome
from tests.functional.exports.stopped import SMALL

if TYPE_CHECKING:
    from .conftest import Machine


@pytest.fixture(scope="module")
def three(
    home: QemuHome, machine: "Callable[..., Machine]"
) -> "Iterator[Machine]":
    """One runs, two do not; all are served."""
    running = machine("web1")
    for name in ("web2", "db"):
        running.ok("create", name, *SMALL, "--disk", "8M")
        running.ok("nbd-export", name, "--name", f"{name}-disk")
    running.export("--name", "web1-disk")
    yield running
    for name in ("web1", "web2", "db"):
        home("export", "stop", name, "--hard")
    running.ok("quit", "web1")


def test_which(home: QemuHome, three: "Machine") -> None:
    def listed(*names: str) -> list[str]:
        rows = three.ok("export", "list", *names, "-f", "json").json
        return sorted(row["vm"] for row in rows)

    assert listed() == ["db", "web1", "web2"]
    assert listed("web*") == ["web1", "web2"]
    assert listed("we?2", "d*") == ["db", "web2"]
    assert listed("db", "web1", "web1") == ["db", "web1"]
    nobody = home("export", "list", "mail*")
    assert nobody.rc == 3
    assert "mail*" in nobody.err
    assert home("export", "list", "mail").rc == 3


def test_what(home: QemuHome, three: "Machine") -> None:
    def shown(*words: str) -> Any:
        return three.ok("export", "list", "web2", *words, "-f", "json").json

    (row,) = shown()
    assert list(row) == [
        *("vm", "name", "disk", "kind", "size", "pid", "uri", "id", "created")
    ]
    (some,) = shown("--columns", "uri,id,vm")
    assert list(some) == ["uri", "id", "vm"]
    assert some == {key: row[key] for key in some}
    table = three.ok("export", "list", "--columns", "name,size").out
    assert table.split("\n")[0].split() == ["NAME", "SIZE"]
    assert table.count("8.0 MiB") == 3
    wrong = home("export", "list", "--columns", "ury")
    assert wrong.rc == 2
    assert "uri" in wrong.err
    snapshots = home("snapshot", "list", "web2", "--columns", "name,kind")
    assert snapshots.rc == 0, snapshots.err
    assert snapshots.out.split() == ["NAME", "KIND"]
