"""The runner: whatever fails or dies, nothing is left half done."""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qemu_cli import steps
from qemu_cli.errors import QemuCliError, StateError
from qemu_cli.steps import (
    Move,
    Plan,
    Remove,
    Spawn,
    WriteFile,
)
from qemu_cli.steps.runner import Journal
from tests.unit.steps.planned import a_step
from tests.unit.steps.worlds import World


class Killed(BaseException):
    """A kill -9 between two system calls: nobody cleans up."""


@st.composite
def plans(draw: st.DrawFn) -> Any:
    """Kinds of steps, as planners put them together, and the commit."""
    kinds = draw(st.lists(st.sampled_from(["make", "write", "tool"])))
    once = draw(
        st.lists(st.sampled_from(["rewrite", "move", "spawn"]), unique=True)
    )
    mixed = draw(st.permutations(kinds + once))
    commit = draw(
        st.one_of(st.none(), st.integers(min_value=0, max_value=len(mixed)))
    )
    return mixed, commit


@contextmanager
def dying(plan: Plan, at: int, when: str) -> Iterator[None]:
    """Have the step with this number fail or die.

    :param when: "before" or "after" its deed
    """
    kind = type(plan.steps[at])
    real = kind.do

    async def do(self: Any, hands: Any) -> None:
        if self is not plan.steps[at]:
            return await real(self, hands)
        if when != "before":
            await real(self, hands)
        if when == "fails":
            raise OSError(28, "No space left on device", "FILE")
        raise Killed

    patch = pytest.MonkeyPatch()
    patch.setattr(kind, "do", do)
    try:
        yield
    finally:
        patch.undo()


def kill_during(world: World, plan: Plan, at: int, when: str) -> None:
    """Run a plan and be killed: no undoing, and the journal stays."""

    async def no_undo(*args: Any) -> None:
        return None

    patch = pytest.MonkeyPatch()
    patch.setattr(world.runner, "_give_up", no_undo)
    try:
        with dying(plan, at, when), pytest.raises(Killed):
            world.run(plan)
    finally:
        patch.undo()


@settings(max_examples=60)
@given(made=plans(), data=st.data())
def test_whatever_happens_it_is_as_before_or_as_after(
    tmp_path_factory: pytest.TempPathFactory, made: Any, data: st.DataObject
) -> None:
    kinds, commit = made
    if not kinds:
        return
    world = World(tmp_path_factory.mktemp("r") / "w")
    plan = Plan(
        "change web",
        tuple(a_step(world.root, n, kind) for n, kind in enumerate(kinds)),
        commit,
    )
    before = world.tree
    at = data.draw(st.integers(min_value=0, max_value=len(kinds) - 1))
    when = data.draw(st.sampled_from(["before", "after", "fails"]))
    finished = at >= plan.point_of_no_return
    if when == "fails":
        with (
            dying(plan, at, "fails"),
            pytest.raises(QemuCliError, match="FILE"),
        ):
            world.run(plan)
        assert world.journal.path.exists() == finished
    else:
        kill_during(world, plan, at, when)
        finished |= kinds[at] == "spawn" and (at, when) == (
            plan.point_of_no_return - 1,
            "after",
        )
    told = world.recover()
    if when == "fails" and not finished:
        assert told is None
    else:
        assert told is not None
        assert ("finished it" if finished else "took it back") in told
    assert not world.journal.path.exists()
    assert world.recover() is None
    if not finished:
        assert world.tree == before
        return
    ended = world.tree
    shutil.rmtree(world.root)
    fresh = World(world.root)
    fresh.run(plan)
    assert fresh.tree == ended


def test_killed_while_taking_back(world: World) -> None:
    plan = Plan(
        "change web",
        tuple(
            a_step(world.root, n, kind)
            for n, kind in enumerate(["make", "rewrite", "move", "write"])
        ),
    )
    before = world.tree
    kill_during(world, plan, 3, "after")

    async def killed(self: Move, hands: Any) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Move, "undo", killed)
        with pytest.raises(Killed):
            world.recover()
    assert world.tree != before
    told = world.recover()
    assert told == "'change web' had been interrupted: took it back"
    assert world.tree == before


def test_a_qemu_that_came_up_is_not_ended(world: World) -> None:
    plan = Plan(
        "start web",
        (a_step(world.root, 0, "make"), a_step(world.root, 1, "spawn")),
    )
    kill_during(world, plan, 1, "after")
    told = world.recover()
    assert told == "'start web' had been interrupted: finished it"
    assert world.qemu == "qemu1"


@pytest.mark.parametrize("was_done", [True, False])
def test_the_world_is_asked_about_the_last_step_that_can_be_undone(
    world: World, monkeypatch: pytest.MonkeyPatch, was_done: bool
) -> None:
    plan = Plan(
        "change web",
        (
            WriteFile(str(world.root / "kept"), "after", "before"),
            Remove(str(world.root / "old")),
        ),
        commit=1,
    )

    async def is_done(self: Any, hands: Any) -> bool:
        return was_done

    before = world.tree
    monkeypatch.setattr(WriteFile, "is_done", is_done)
    kill_during(world, plan, 0, "after")
    told = world.recover()
    assert told is not None
    assert told.endswith("finished it" if was_done else "took it back")
    assert ("old/disk" in world.tree) == (not was_done)
    assert (world.tree == before) == (not was_done)


def test_the_first_error_is_told_when_undoing_fails_too(
    world: World,
) -> None:
    plan = Plan(
        "change web",
        (
            a_step(world.root, 0, "write"),
            a_step(world.root, 1, "spawn"),
            steps.Qmp("stop"),
        ),
    )
    world.undo_fails = True
    with pytest.raises(StateError, match="QEMU refuses") as caught:
        world.run(plan)
    assert caught.value.hint is not None
    assert "it does not end" in caught.value.hint
    # The journal is kept, and the next command tries again.
    world.undo_fails = False
    assert world.recover() is not None
    assert world.qemu is None
    assert not (world.root / "file0").exists()


def test_interrupting_undoes(world: World) -> None:
    entered = asyncio.Event()

    async def wait_for_ever(step: Spawn) -> None:
        entered.set()
        await asyncio.sleep(3600)

    world.spawn = wait_for_ever  # type: ignore[method-assign]
    before = world.tree
    plan = Plan(
        "start web",
        (a_step(world.root, 0, "write"), a_step(world.root, 1, "spawn")),
    )

    async def interrupted() -> None:
        task = asyncio.create_task(world.runner.run(plan))
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(interrupted())
    assert world.tree == before
    assert not world.journal.path.exists()


def test_a_journal_that_cannot_be_begun_changes_nothing(
    world: World,
) -> None:
    world.journal.path.parent.write_text("a file in its place")
    before = world.tree
    with pytest.raises(QemuCliError, match=r"\.pending"):
        world.run(Plan("change web", (a_step(world.root, 0, "write"),)))
    assert world.tree == before


def test_a_journal_that_cannot_go_on_takes_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[int] = []
    real = Journal.step

    def full(self: Journal, index: int) -> None:
        if index:
            raise OSError(28, "No space left on device", str(self.path))
        noted.append(index)
        real(self, index)

    monkeypatch.setattr(Journal, "step", full)
    before = world.tree
    plan = Plan(
        "change web", tuple(a_step(world.root, n, "write") for n in (0, 1))
    )
    with pytest.raises(QemuCliError, match=r"web\.jsonl: No space left"):
        world.run(plan)
    assert world.tree == before
    assert noted == [0]
