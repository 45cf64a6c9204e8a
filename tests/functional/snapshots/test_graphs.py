"""Random graphs of snapshots: nothing that was kept is ever another.

What is done is drawn: writes, snapshots of both kinds, going back,
deleting, growing, cloning; each may be killed after some of its steps.
After every deed all that was kept is read, and compared.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from tests.functional.snapshots.worlds import Template, World

NUMBERS = st.integers(0, 30)
#: Mostly a command comes to its end.
KILLS = st.one_of(st.none(), st.none(), st.integers(0, 19))
DISKS = st.integers(0, 1)

WRITE = st.tuples(st.just("write"), DISKS, NUMBERS, st.integers(0, 250))
TAKE = st.tuples(st.just("take"), st.booleans(), st.booleans(), KILLS)
REVERT = st.tuples(st.just("revert"), NUMBERS, KILLS)
DROP = st.tuples(
    st.just("drop"), st.sets(NUMBERS, min_size=1, max_size=2), KILLS
)
GROW = st.tuples(st.just("grow"), DISKS)
LINK = st.tuples(st.just("link"))
POWER = st.tuples(st.just("power"))

STOPPED = st.lists(
    st.one_of(WRITE, WRITE, TAKE, TAKE, REVERT, DROP, GROW, LINK),
    min_size=5,
    max_size=14,
)
RUNNING = st.lists(
    st.one_of(WRITE, WRITE, TAKE, TAKE, REVERT, DROP, DROP, GROW, POWER),
    min_size=5,
    max_size=12,
)


@pytest.fixture(scope="module")
def template() -> Iterator[Template]:
    with tempfile.TemporaryDirectory(prefix="q-") as directory:
        yield Template(
            Path(directory, "h"), "--disk", "512k", "--firmware", "uefi"
        )


@pytest.fixture(scope="module")
def running_template() -> Iterator[Template]:
    """Its guest finds nothing to boot, and writes nothing."""
    with tempfile.TemporaryDirectory(prefix="q-") as directory:
        yield Template(Path(directory, "h"), *("--disk", "512k") * 2)


def live_through(world: World, deeds: list[tuple]) -> None:
    for kind, *args in deeds:
        if kind in ("write", "grow"):
            args[0] = world.disks[args[0]]
        getattr(world, kind)(*args)
        world.look()
    for number in range(len(world.snapshots)):
        world.revert(number, None)
        world.look()
    if world.vm.alive:
        world.power()
    world.sound()


#: Where something is wrong, finding the shortest way there takes hours.
SETTINGS = settings(
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


#: A layer that was left for a clone is needed by nobody after it.
LEFT = [
    *(("take", False, False, None), ("link",), ("revert", 0, None)),
    *(("drop", {0}, None), ("link",)),
]

#: The program dies when the layers are merged, and before it notes that.
MERGED = [("take", True, True, None), ("drop", {0}, 10)]


@settings(SETTINGS, max_examples=20)
@example(deeds=LEFT)
@example(deeds=MERGED)
@given(deeds=STOPPED)
def test_stopped(template: Template, deeds: list[tuple]) -> None:
    world = World(template)
    try:
        live_through(world, deeds)
    finally:
        world.close()


#: QEMU 7.2 loses clusters where a disk shrinks in which RAM was loaded.
SHRINKING = [
    *(("take", False, True, None), ("power",), ("revert", 0, None)),
    *(("power",), ("take", False, False, None), ("grow", 0)),
    ("drop", {0}, None),
]
#: The same, but QEMU does it when it loads the RAM.
LOADED = [
    *(("take", False, False, None), ("write", 0, 11, 191)),
    *(("revert", 0, 16), ("grow", 0), ("revert", 0, None)),
]


@settings(SETTINGS, max_examples=8)
@example(deeds=SHRINKING)
@example(deeds=LOADED)
@given(deeds=RUNNING)
def test_running(running_template: Template, deeds: list[tuple]) -> None:
    world = World(running_template, runs=True)
    try:
        world.power()
        live_through(world, deeds)
    finally:
        world.close()
