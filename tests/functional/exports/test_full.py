"""The host's disk fills while a point in time is served."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.functional.exports.clients import read, run
from tests.functional.snapshots.checks import small_disk, stuffed

if TYPE_CHECKING:
    from .conftest import Machine


def test_the_guest_goes_on_and_the_export_breaks(
    machine: Callable[..., "Machine"],
) -> None:
    vm = machine("full")
    vm.as_guest("write -P 2 0 8M")
    vm.ok("quit", "full")
    with small_disk(vm, "40M"):
        vm.ok("start", "full")
        (uri,) = vm.export("disk0")
        vm.as_guest("write -P 3 0 64k")
        assert read(uri, 2, "0 8M")
        stuffing = stuffed(vm)
        said = vm.as_guest("write -P 3 0 8M")
        assert "wrote 8388608" in said
        assert vm.status() == "running"
        assert vm.holds(3, "0 8M")
        assert run("nbdcopy", uri, "null:").returncode != 0
        assert not read(uri, 2, "0 8M")
        assert vm.stop("--hard").rc == 0
        assert vm.traces() == []
        stuffing.unlink()
        (uri,) = vm.export("disk0")
        assert read(uri, 3, "0 8M")
        assert vm.stop().rc == 0
        assert vm.holds(3, "0 8M")
