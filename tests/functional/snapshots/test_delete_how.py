"""snapshot delete: each merge in the way that its place asks for.

``--dry-run`` shows it; then it is done, and all that is kept is compared.
The disk has been grown in between, so the layers differ in their sizes.
"""

import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.functional.snapshots.merging_plans import shown
from tests.functional.snapshots.worlds import Template, World

LARGE, SMALL = range(2, 12), (3,)


@pytest.fixture(scope="module")
def template() -> Iterator[Template]:
    with tempfile.TemporaryDirectory(prefix="q-") as directory:
        yield Template(Path(directory, "h"), "--disk", "512k")


@pytest.fixture
def world(template: Template) -> Iterator[World]:
    world = World(template)
    yield world
    world.close()


def layer(world: World, units: "range | tuple[int, ...]") -> None:
    """Write what the active layer has, put the next on it, and grow it."""
    for unit in units:
        world.write("disk0", unit, unit + 50 * (world.count + 1))
    world.take(True, False, None)
    world.grow("disk0")


def into_today(world: World) -> set[int]:
    """What is below the active layer is the smaller part."""
    layer(world, (0,))
    layer(world, SMALL)
    for unit in LARGE:
        world.write("disk0", unit, 7)
    return {1}


def today_into(world: World) -> set[int]:
    """The active layer is the smaller part."""
    layer(world, (0,))
    layer(world, LARGE)
    world.write("disk0", 3, 7)
    return {1}


def into_the_middle(world: World) -> set[int]:
    layer(world, (0,))
    layer(world, SMALL)
    layer(world, LARGE)
    world.write("disk0", 3, 7)
    return {1}


def middle_into(world: World) -> set[int]:
    layer(world, (0,))
    layer(world, LARGE)
    layer(world, SMALL)
    world.write("disk0", 3, 7)
    return {1}


def nothing_below(world: World) -> set[int]:
    """The layer that goes is the lowest one, and all of it is needed."""
    layer(world, SMALL)
    for unit in LARGE:
        world.write("disk0", unit, 7)
    return {0}


def off_the_chain(world: World) -> set[int]:
    """On another branch, which a running QEMU does not have open."""
    layer(world, (0,))
    layer(world, SMALL)
    layer(world, LARGE)
    world.revert(0, None)
    world.write("disk0", 3, 7)
    return {1}


Scene = Callable[[World], set[int]]

REBASE = r"^\S*qemu-img rebase -q -f qcow2 -b ./disk0.qcow2 .*/disk0.2.qcow2$"
COMMIT = r"^\S*qemu-img commit .*/disk0.1.qcow2 .*/disk0.2.qcow2$"

#: What a running VM's merge is like, and a stopped one's; what it is not.
SCENES: dict[Scene, tuple[str, str, str]] = {
    into_today: (
        r'"block-stream".*"device": "disk0",.*"base-node": "#b.*pending$',
        REBASE,
        "commit",
    ),
    today_into: (
        r'"block-commit".*"device": "disk0", "base-node": "#b.*ready$',
        COMMIT,
        "stream|rebase",
    ),
    into_the_middle: (
        r'"block-stream".*"device": "#b.*"backing-file": "./disk0.*pending$',
        REBASE,
        "commit",
    ),
    middle_into: (
        r'"block-commit".*"top-node": "#b.*"backing-file": "./disk0.*pending$',
        COMMIT,
        "stream",
    ),
    nothing_below: (
        r'"block-stream".*"disk0", "auto-finalize": false}.*pending$',
        r"^\S*qemu-img rebase -q -f qcow2 -b '' .*/disk0.1.qcow2$",
        "commit",
    ),
    off_the_chain: (REBASE, REBASE, '"block-'),
}


@pytest.mark.parametrize("state", ["running", "stopped"])
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_each_in_its_way(world: World, scene: Scene, state: str) -> None:
    doomed = scene(world)
    running, stopped, never = SCENES[scene]
    if state == "running":
        world.power()
    before = {f.name for f in world.paths.directory.glob("*.qcow2")}
    told = shown(world, doomed)
    assert re.search(running if world.vm.alive else stopped, told, re.M), told
    assert not re.search(never, told), told
    if not world.vm.alive:
        assert "qmp" not in told
    assert {f.name for f in world.paths.directory.glob("*.qcow2")} == before
    world.drop(doomed, None)
    world.look()
    if world.vm.alive:
        world.power()
    world.sound()
    # What is kept can be gone back to, in its size of then.
    for number in range(len(world.snapshots)):
        world.revert(number, None)
        world.look()
