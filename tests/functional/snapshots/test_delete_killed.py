"""snapshot delete, and the program is killed at every step of it.

What is kept afterwards is compared in full; what is left is merged.
"""

import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.functional.snapshots.merging_plans import shown
from tests.functional.snapshots.worlds import Template, World


@pytest.fixture(scope="module")
def template() -> Iterator[Template]:
    with tempfile.TemporaryDirectory(prefix="q-") as directory:
        yield Template(Path(directory, "h"), "--disk", "512k")


def external(world: World, *units: int) -> None:
    """Write, and take an external snapshot of that."""
    for unit in units:
        world.write("disk0", unit, unit + 100 + world.count)
    world.take(True, False, None)


def in_the_middle(world: World) -> set[int]:
    """The layer above the second one is the smaller one, and not today's."""
    external(world, 0, 1)
    external(world, *range(2, 12))
    external(world, 3)
    world.write("disk0", 4, 9)
    return {1}


def two_at_once(world: World) -> set[int]:
    external(world, 0, 1)
    external(world, 1, 2)
    external(world, 2, 3)
    world.write("disk0", 4, 9)
    return {1, 2}


def with_children(world: World) -> set[int]:
    """Two stand on it, and today."""
    external(world, *range(8))
    for unit in (1, 2):
        world.revert(0, None)
        external(world, unit)
    world.revert(0, None)
    world.write("disk0", 4, 9)
    return {0}


def inside(world: World) -> set[int]:
    """Two of three internal ones."""
    for unit in (1, 2, 3):
        world.write("disk0", unit, unit + 100)
        world.take(False, False, None)
    world.write("disk0", 4, 9)
    return {0, 2}


def inside_of_a_layer(world: World) -> set[int]:
    """With it the layer has nothing any more that anybody needs."""
    world.write("disk0", 1, 101)
    world.take(False, False, None)
    external(world, 2)
    world.write("disk0", 4, 9)
    return {0, 1}


Prepare = Callable[[World], set[int]]

SCENES: dict[str, Prepare] = {
    "middle": in_the_middle,
    "two": two_at_once,
    "children": with_children,
    "inside": inside,
    "layer": inside_of_a_layer,
}

#: What a running QEMU is told.
TOLD = {
    "middle": ("block-commit", "backing-file"),
    "children": ("block-stream",),
    "inside": ("snapshot-delete",),
}


@pytest.mark.parametrize("scene", SCENES)
def test_of_a_stopped_vm(template: Template, scene: str) -> None:
    base = World(template)
    try:
        doomed = SCENES[scene](base)
        base.look()
        for kill in itertools.count():
            world = base.copy()
            try:
                world.drop(doomed, kill)
                world.look()
                world.sound()
            finally:
                world.close()
            if not world.died:
                break
        assert kill >= 4
    finally:
        base.close()


@pytest.mark.parametrize("fragile", [False, True], ids=["program", "both"])
@pytest.mark.parametrize("scene", TOLD)
def test_of_a_running_vm(
    template: Template, scene: str, fragile: bool
) -> None:
    base = World(template)
    try:
        doomed = SCENES[scene](base)
        base.look()
        for kill in itertools.count():
            world = base.copy()
            try:
                world.power()
                if not kill:
                    told = shown(world, doomed)
                    assert all(word in told for word in TOLD[scene]), told
                world.fragile = fragile
                world.drop(doomed, kill)
                world.look()
                assert world.vm.alive == (not (world.died and fragile))
                if world.vm.alive:
                    world.power()
                world.sound()
            finally:
                world.close()
            if not world.died:
                break
        assert kill >= 4
    finally:
        base.close()
