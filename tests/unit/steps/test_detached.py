"""The runner: what was left to a job of QEMU's."""

import asyncio

import pytest

from qemu_cli.errors import BusyError, StateError
from qemu_cli.steps import (
    Plan,
    WriteFile,
)
from qemu_cli.steps.job import Job, OrderJob
from tests.unit.steps.worlds import World


def left_to_a_job(world: World, commit: int | None = None) -> None:
    """Run a plan with a job in it, and leave as soon as that runs."""
    world.qemu = "qemu1"
    plan = Plan(
        "move disk0 of web",
        (
            WriteFile(str(world.root / "target"), "empty"),
            Job("blockdev-mirror", "move0", {}, "pending"),
            WriteFile(str(world.root / "kept"), "after", "before"),
            OrderJob("job-finalize", "move0"),
        ),
        commit,
    )
    asyncio.run(world.runner.run(plan, detach=True))


def test_what_was_left_to_a_job_is_done_when_it_has_ended(
    world: World,
) -> None:
    left_to_a_job(world)
    assert world.job == "running"
    assert world.tree["kept"] == "before"
    for _ in range(2):
        with pytest.raises(BusyError, match="'move disk0 of web' goes on"):
            world.recover()
    world.job = "pending"
    assert world.recover() == "'move disk0 of web' has ended: finished it"
    assert world.job is None
    assert world.tree["kept"] == "after"
    assert world.recover() is None


def test_what_was_left_to_a_job_that_is_gone_is_taken_back(
    world: World,
) -> None:
    before = world.tree
    left_to_a_job(world)
    world.job = "failed"
    with pytest.raises(StateError, match="the disk is full"):
        world.recover()
    assert world.tree == {**before, "QEMU": "qemu1"}
    assert world.recover() is None


def test_what_was_left_to_a_job_ends_with_its_qemu(world: World) -> None:
    before = world.tree
    left_to_a_job(world)
    world.qemu = world.job = None
    told = "'move disk0 of web' ended with QEMU: took it back"
    assert world.recover() == told
    assert world.tree == before
    assert world.recover() is None
