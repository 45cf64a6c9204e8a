"""The tree of snapshots."""

from pathlib import Path

import msgspec
import pytest

from qemu_cli.errors import DefinitionError, NotFoundError, UsageError
from qemu_cli.instance.snapshots import store
from qemu_cli.instance.snapshots.store import Layer, Snapshot, Tree
from qemu_cli.paths import InstancePaths


def a_snapshot(key: str, parent: str | None = None) -> Snapshot:
    layer = Layer("disk0", f"{key}.qcow2", "qcow2")
    return Snapshot(key, key, "external", 1.5, (layer,), parent)


TREE = Tree(
    current="c",
    snapshots=(a_snapshot("a"), a_snapshot("b", "a"), a_snapshot("c", "a")),
)


@pytest.fixture
def paths(tmp_path: Path) -> InstancePaths:
    (tmp_path / "web" / "snapshots").mkdir(parents=True)
    return InstancePaths(tmp_path / "web", tmp_path / "run")


def test_what_is_written_is_read(paths: InstancePaths) -> None:
    assert store.load(paths) == Tree()
    step = store.write(paths, TREE)
    assert step.previous is None
    Path(step.path).write_text(step.text)
    assert store.load(paths) == TREE
    again = store.write(paths, TREE.without("b"))
    assert again.previous == step.text


@pytest.mark.parametrize(
    ("text", "why"),
    [("{", "can't be read"), ('{"format": 2}', "has format 2")],
)
def test_a_tree_that_is_not_understood(
    paths: InstancePaths, text: str, why: str
) -> None:
    paths.snapshot_tree.write_text(text)
    with pytest.raises(DefinitionError, match=why):
        store.load(paths)


def test_the_line_of_today() -> None:
    assert [each.key for each in TREE.line("c")] == ["c", "a"]
    assert [each.key for each in TREE.children("a")] == ["b", "c"]
    assert TREE.line(None) == ()


def test_children_of_a_deleted_one_go_to_its_parent() -> None:
    tree = TREE.without("a")
    assert {each.key: each.parent for each in tree.snapshots} == {
        "b": None,
        "c": None,
    }
    assert tree.current == "c"
    assert TREE.without("c").current == "a"


def test_a_new_one_is_the_current_one() -> None:
    tree = TREE.with_(a_snapshot("d", "c"))
    assert tree.current == "d"
    renamed = msgspec.structs.replace(tree.by_key("d"), name="e")
    assert tree.replacing(renamed).find("e").key == "d"


def test_a_missing_one_names_the_nearest() -> None:
    tree = Tree(snapshots=(a_snapshot("before"),))
    with pytest.raises(NotFoundError, match="'befor'") as caught:
        tree.find("befor")
    assert caught.value.hint == "did you mean 'before'?"


@pytest.mark.parametrize(
    "name", ["12", "", "-x", ".x", "a b", "a/b", "x" * 65]
)
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(UsageError):
        store.check_name(name)


@pytest.mark.parametrize("name", ["2026-11-22", "a", "v1.0_final", "x" * 64])
def test_names_that_can_be(name: str) -> None:
    assert store.check_name(name) == name


def test_names_and_keys_are_not_used_twice(tmp_path: Path) -> None:
    assert store.made_up_name(TREE) == "s4"
    assert store.new_key(TREE, "a", frozenset({"a-2"})) == "a-3"
    (tmp_path / "disk0.1.qcow2").touch()
    taken = frozenset({"disk0.2.qcow2"})
    assert store.next_file(tmp_path, "disk0", taken) == "disk0.3.qcow2"
