"""The runner: whatever fails or dies, nothing is left half done."""

import asyncio
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qemu_cli import steps
from qemu_cli.errors import BusyError, QemuCliError, StateError
from qemu_cli.steps import (
    AnyStep,
    MakeDirectory,
    Move,
    Plan,
    Remove,
    Spawn,
    WriteData,
    WriteFile,
)
from qemu_cli.steps.job import Job, OrderJob
from qemu_cli.steps.runner import Journal, Runner


class Killed(BaseException):
    """A kill -9 between two system calls: nobody cleans up."""


class World:
    """A tree, a QEMU, and what is to go wrong.

    :param root: where the steps do their deeds
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.qemu: str | None = None
        self.job: str | None = None
        self.fails = False
        self.undo_fails = False
        root.mkdir()
        (root / "kept").write_text("before")
        (root / "old").mkdir()
        (root / "old" / "disk").write_text("data")
        self.journal = Journal(root.parent / ".pending" / "web.jsonl")
        self.runner = Runner(self.journal, self)  # type: ignore[arg-type]

    async def runs(self) -> bool:
        return self.qemu is not None

    async def execute(self, command: str, arguments: dict[str, Any]) -> None:
        raise StateError("QEMU refuses")

    async def start_job(self, step: Job) -> None:
        self.job = "running"

    async def job_goes_on(self, step: Job) -> bool:
        return self.job == "running"

    async def run_job(self, step: Job) -> None:
        if self.job != "pending":
            raise StateError("the disk is full")

    async def order_job(self, step: OrderJob) -> None:
        assert self.job == "pending"
        self.job = None

    async def cancel_job(self, job_id: str) -> None:
        self.job = None

    async def spawn(self, step: Spawn) -> None:
        if self.fails:
            raise QemuCliError("it did not start")
        self.qemu = step.argv[0]

    async def unspawn(self, step: Spawn) -> None:
        if self.undo_fails:
            raise QemuCliError("it does not end")
        self.qemu = None

    async def came_up(self, step: Spawn) -> bool:
        return self.qemu is not None

    @property
    def tree(self) -> dict[str, str | None]:
        found: dict[str, str | None] = {"QEMU": self.qemu}
        for path in self.root.rglob("*"):
            name = str(path.relative_to(self.root))
            found[name] = None if path.is_dir() else path.read_text()
        return found

    def run(self, plan: Plan) -> None:
        asyncio.run(self.runner.run(plan))

    def recover(self) -> str | None:
        return asyncio.run(self.runner.recover())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "w")


def a_step(root: Path, number: int, kind: str) -> AnyStep:
    """A step that touches names of its own number only."""
    match kind:
        case "make":
            return MakeDirectory(str(root / f"dir{number}"))
        case "write":
            return WriteFile(str(root / f"file{number}"), f"{number}\u2028\n")
        case "rewrite":
            path = root / "kept"
            return WriteFile(str(path), f"after {number}", "before")
        case "move":
            return Move(str(root / "old"), str(root / f"moved{number}"))
        case "tool":
            path = root / f"made{number}"
            return steps.Tool(("touch", str(path)), creates=str(path))
        case "spawn":
            return Spawn((f"qemu{number}",), str(root / "events"))
        case _:
            return Remove(str(root / "moved"))


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


@settings(deadline=None, max_examples=60)
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


PLAN = Plan(
    "change web", tuple(a_step(Path("/x"), n, "tool") for n in range(13))
)


def journal_with(tmp_path: Path, rest: bytes) -> Journal:
    journal = Journal(tmp_path / "web.jsonl")
    journal.begin(PLAN)
    with journal.path.open("ab") as stream:
        stream.write(rest)
    return journal


@pytest.mark.parametrize(
    ("rest", "last", "detached"),
    [
        (b"", -1, False),
        (b"0\n1\n", 1, False),
        (b"11\n1", 11, False),
        (b"0", -1, False),
        (b"3\ndetached 3\n", 3, True),
    ],
)
def test_how_far_it_came(
    tmp_path: Path, rest: bytes, last: int, detached: bool
) -> None:
    assert journal_with(tmp_path, rest).read() == (PLAN, last, detached)


@pytest.mark.parametrize(
    "rest", [b"one\n", b"13\n", b"-2\n", b"\n", b"1\n\xff"]
)
def test_a_damaged_journal_is_named(tmp_path: Path, rest: bytes) -> None:
    journal = journal_with(tmp_path, rest)
    with pytest.raises(QemuCliError, match=r"web\.jsonl can't be read"):
        journal.read()
    assert journal.path.exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"{}\n", b"[]\n", b'{"title": "x", "steps": [{}]}\n', b"\0"],
)
def test_what_is_no_journal_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "web.jsonl"
    path.write_bytes(content)
    with pytest.raises(QemuCliError, match=r"web\.jsonl can't be read"):
        Journal(path).read()


def test_a_plan_is_the_same_when_it_is_read_again(tmp_path: Path) -> None:
    every = Plan(
        "do\u2028all\x85\n",
        (
            MakeDirectory("/a\u2029", 0o755),
            WriteFile("/b", "text\r\n\u2028", "\x0b", 0o600),
            WriteData("/b", b"\0\xff\n", "what"),
            Move("/c", "/d"),
            Remove("/e"),
            steps.Tool(("a", "b c"), "/f", ("d",)),
            steps.Qmp("stop", {"a": [1, {"b": None}]}, "cont", {"c": 1.5}),
            Job("block-stream", "j", {"device": "disk0"}, "pending"),
            OrderJob("job-finalize", "j"),
            Spawn(("qemu",), "/g", (("swtpm", "x"),)),
        ),
        commit=3,
    )
    journal = Journal(tmp_path / "web.jsonl")
    journal.begin(every)
    journal.step(0)
    assert journal.read() == (every, 0, False)


def test_other_instances_find_it_too(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "web.jsonl")
    plan = Plan("clone web new", PLAN.steps, also=("new",))
    journal.begin(plan)
    other = Journal(tmp_path / "new.jsonl")
    assert other.read() == (plan, -1, False)
    assert other.owner == "web"
    journal.end(plan)
    assert list(tmp_path.iterdir()) == []


def test_the_journal_is_for_its_owner_only(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "p" / "web.jsonl")
    journal.begin(PLAN)
    assert journal.path.stat().st_mode & 0o777 == 0o600
    assert journal.path.parent.stat().st_mode & 0o777 == 0o700
    assert json.loads(journal.path.read_text().split("\n")[0])
