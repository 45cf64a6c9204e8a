"""The journal: what a plan that was killed has left."""

import json
from pathlib import Path

import pytest

from qemu_cli import steps
from qemu_cli.errors import QemuCliError
from qemu_cli.steps import (
    MakeDirectory,
    Move,
    Plan,
    Remove,
    Spawn,
    WriteData,
    WriteFile,
)
from qemu_cli.steps.job import Job, OrderJob
from qemu_cli.steps.rebase import Rebase
from qemu_cli.steps.runner import Journal
from tests.unit.steps.planned import a_step

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
            Rebase(("qemu-img", "rebase")),
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
