"""Commands on another's VM that die of SIGKILL at a step of their plan."""

from collections.abc import Callable

from tests.functional.killing import kill_in, moments
from tests.functional.strangers import Stranger
from tests.functional.until import until

Start = Callable[..., Stranger]


def assert_as_before(vm: Stranger, status: str = "running") -> None:
    """Nothing of ours is in QEMU, and nothing in our directory."""
    assert vm.qmp("query-block-exports") == []
    nodes = [n["node-name"] for n in vm.qmp("query-named-block-nodes")]
    assert not [name for name in nodes if not name.startswith("#block")]
    assert vm.holds(1)
    assert vm.status == status
    own = vm.home.paths.foreign
    for left in ("exports/*.json", "*.scratch*", "*.jsonl"):
        found = [f for f in own.rglob(left) if f.name != "history.jsonl"]
        assert not found


def test_an_export_is_taken_back(stranger: Start) -> None:
    vm = stranger()
    vm.as_guest("write -P 1 0 64k")
    count = 0
    for when, index in moments():
        killed = kill_in(
            *(vm.home, when, index, "nbd-export", vm.ref, "virtio0")
        )
        if not killed:
            break
        count += 1
        # The guardian may be at it as well: this waits for it.
        vm.home("export", "stop", vm.ref, "--hard")
        assert_as_before(vm)
    assert count > 8
    vm.ok("export", "stop", vm.ref)
    assert_as_before(vm)


def test_snapshots_are_there_or_not(stranger: Start) -> None:
    vm = stranger()
    vm.as_guest("write -P 1 0 64k")
    vm.ok("pause", vm.ref)
    count = 0
    for when, index in moments():
        words = ("snapshot", "create", vm.ref, "s1")
        killed = kill_in(vm.home, when, index, *words)
        vm.ok("resume", vm.ref)
        vm.ok("pause", vm.ref)
        until(lambda: vm.status == "paused")
        assert vm.qmp("query-jobs") == []
        rows = vm.json("snapshot", "list", vm.ref)
        assert [row["problem"] for row in rows] in ([], [""])
        assert_as_before(vm, "paused")
        if rows:
            words = ("snapshot", "delete", vm.ref, "s1", "--yes")
            kill_in(vm.home, when, index, *words)
            vm.ok("resume", vm.ref)
            vm.ok("pause", vm.ref)
            assert vm.json("snapshot", "list", vm.ref) == []
        if not killed:
            break
        count += 1
    assert count > 4
