"""steps: what each does, takes back, and says in --dry-run."""

import asyncio
import os
import shlex
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qemu_cli.errors import QemuCliError, ToolError
from qemu_cli.steps import (
    MakeDirectory,
    Move,
    Plan,
    Qmp,
    Remove,
    Spawn,
    Step,
    Tool,
    WriteData,
    WriteFile,
    run_tool,
)


class FakeHands:
    """Writes down what it is told; ``alive`` is whether QEMU runs."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.alive = True

    async def runs(self) -> bool:
        return self.alive

    async def execute(self, command: str, arguments: dict[str, Any]) -> None:
        self.told.append((command, arguments))

    async def spawn(self, step: Spawn) -> None:
        self.told.append(("spawn", step))

    async def unspawn(self, step: Spawn) -> None:
        self.told.append(("unspawn", step))

    async def came_up(self, step: Spawn) -> bool:
        return self.alive


def tree(root: Path) -> dict[str, str | None]:
    """All below a directory: what each file contains, None a directory."""
    return {
        str(path.relative_to(root)): None
        if path.is_dir()
        else path.read_bytes().decode(errors="replace")
        for path in root.rglob("*")
    }


def do(step: Step, times: int = 1) -> None:
    for _ in range(times):
        asyncio.run(step.do(FakeHands()))  # type: ignore[arg-type]


def undo(step: Step, times: int = 1) -> None:
    for _ in range(times):
        asyncio.run(step.undo(FakeHands()))  # type: ignore[arg-type]


def touch(path: Path) -> tuple[str, ...]:
    return ("touch", str(path))


STEPS: dict[str, Callable[[Path], Step]] = {
    "make": lambda root: MakeDirectory(str(root / "a" / "b")),
    "write": lambda root: WriteFile(str(root / "new"), "text"),
    "rewrite": lambda root: WriteFile(str(root / "old"), "text", "old\n"),
    "data": lambda root: WriteData(str(root / "new"), b"\0\xff", "what"),
    "move": lambda root: Move(str(root / "old"), str(root / "moved")),
    "move-directory": lambda root: Move(
        str(root / "full"), str(root / "moved")
    ),
    "tool": lambda root: Tool(
        touch(root / "made"), creates=str(root / "made")
    ),
    "tool-back": lambda root: Tool(
        touch(root / "made"), back=("rm", "-f", str(root / "made"))
    ),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (root / "full").mkdir()
    (root / "full" / "file").write_text("precious")
    (root / "old").write_text("old\n")
    return root


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("times", [0, 1, 2])
@pytest.mark.parametrize("back", [1, 2])
def test_undo_takes_back_what_was_done_however_often(
    root: Path, name: str, times: int, back: int
) -> None:
    step = STEPS[name](root)
    before = tree(root)
    do(step, times)
    assert (tree(root) == before) == (times == 0)
    undo(step, back)
    assert tree(root) == before


@pytest.mark.parametrize("name", STEPS)
def test_doing_twice_is_doing_once(root: Path, name: str) -> None:
    step = STEPS[name](root)
    do(step)
    once = tree(root)
    do(step)
    assert tree(root) == once


def test_a_directory_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    do(MakeDirectory(str(path)))
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_data_is_for_its_owner_only_and_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "my seed"
    step = WriteData(str(path), b"secret\xff", "a seed")
    do(step)
    assert path.read_bytes() == b"secret\xff"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert step.describe() == f"# write '{path}': a seed"


def test_a_directory_with_something_in_it_stays(tmp_path: Path) -> None:
    step = MakeDirectory(str(tmp_path / "a"))
    do(step)
    (tmp_path / "a" / "theirs").write_text("x")
    undo(step)
    assert tree(tmp_path) == {"a": None, "a/theirs": "x"}


def test_a_file_is_written_with_its_mode(tmp_path: Path) -> None:
    do(WriteFile(str(tmp_path / "f"), "x", mode=0o700))
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o700


def test_nothing_is_moved_onto_something_else(root: Path) -> None:
    before = tree(root)
    step = Move(str(root / "full"), str(root / "old"))
    with pytest.raises(QemuCliError, match="old is in the way"):
        do(step)
    assert tree(root) == before


def test_a_dangling_link_is_in_the_way_too(root: Path) -> None:
    (root / "link").symlink_to("nowhere")
    with pytest.raises(QemuCliError, match="link is in the way"):
        do(Move(str(root / "old"), str(root / "link")))


def test_taking_back_a_move_of_what_is_gone_is_nothing(root: Path) -> None:
    step = Move(str(root / "gone"), str(root / "moved"))
    with pytest.raises(FileNotFoundError):
        do(step)
    undo(step)


def test_remove_follows_no_link(root: Path) -> None:
    (root / "link").symlink_to(root / "full")
    do(Remove(str(root / "link")), 2)
    do(Remove(str(root / "a")), 2)
    do(Remove(str(root / "old")), 2)
    assert tree(root) == {"full": None, "full/file": "precious"}


def test_a_tool_that_fails_says_it_in_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"ls failed: .*no-such-file"):
        do(Tool(("ls", str(tmp_path / "no-such-file"))))
    with pytest.raises(ToolError, match="false failed: no message"):
        do(Tool(("false",)))
    with pytest.raises(ToolError, match="/no/such can't be run: No such"):
        do(Tool(("/no/such",)))


def test_a_tool_dies_with_its_task(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"

    async def run_and_cancel() -> None:
        argv = ("sh", "-c", f"echo $$ > {pid_file}; echo up; exec sleep 60")
        up = asyncio.Event()
        task = asyncio.create_task(run_tool(argv, listen=lambda _: up.set()))
        await up.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run_and_cancel())
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


def test_pieces_of_a_tools_output_are_heard(tmp_path: Path) -> None:
    heard: list[bytes] = []
    argv = ("sh", "-c", "echo a; echo b >&2; echo c")
    out = asyncio.run(run_tool(argv, listen=heard.append))
    assert out == "a\nc\n"
    assert b"".join(heard) == b"a\nc\n"


def test_qmp_and_its_opposite() -> None:
    hands = FakeHands()
    step = Qmp("stop", {"a": 1}, back="cont", back_arguments={"b": 2})
    asyncio.run(step.do(hands))  # type: ignore[arg-type]
    asyncio.run(step.undo(hands))  # type: ignore[arg-type]
    assert hands.told == [("stop", {"a": 1}), ("cont", {"b": 2})]
    hands.alive = False
    asyncio.run(step.undo(hands))  # type: ignore[arg-type]
    asyncio.run(Qmp("stop").undo(hands))  # type: ignore[arg-type]
    assert len(hands.told) == 2
    assert step.describe() == 'qmp {"execute": "stop", "arguments": {"a": 1}}'
    assert Qmp("cont").describe() == 'qmp {"execute": "cont"}'


def run_shell(plan: Plan) -> None:
    script = "\n".join(plan.describe())
    subprocess.run(["sh", "-e"], input=script, text=True, check=True)


# But for data that nobody is to see.
@pytest.mark.parametrize("name", [name for name in STEPS if name != "data"])
def test_what_is_shown_can_be_pasted(root: Path, name: str) -> None:
    step = STEPS[name](root)
    do(step)
    done = tree(root)
    undo(step)
    run_shell(Plan("", (step,)))  # type: ignore[arg-type]
    # A heredoc ends in a newline, as the files that we write do.
    shown = tree(root)
    assert {k: v and v.rstrip() for k, v in shown.items()} == {
        k: v and v.rstrip() for k, v in done.items()
    }


@given(
    text=st.text(st.characters(codec="utf-8", exclude_characters="\r\0")).map(
        lambda text: text + "\n"
    ),
    name=st.sampled_from(["plain", "with space", "it's", "$HOME", "-x"]),
)
def test_any_text_is_shown_pasteably(
    tmp_path_factory: pytest.TempPathFactory, text: str, name: str
) -> None:
    path = tmp_path_factory.mktemp("t") / name
    run_shell(Plan("", (WriteFile(str(path), text, mode=0o750),)))
    assert path.read_bytes() == text.encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o750


def test_a_text_with_the_end_mark_in_it(tmp_path: Path) -> None:
    path = tmp_path / "f"
    run_shell(Plan("", (WriteFile(str(path), "a\nEOF\nEOF_\nb\n"),)))
    assert path.read_text() == "a\nEOF\nEOF_\nb\n"


def test_removing_is_shown_pasteably(root: Path) -> None:
    run_shell(
        Plan("", (Remove(str(root / "full")), Remove(str(root / "none"))))
    )
    assert "full" not in tree(root)


def test_a_start_is_shown_pasteably(tmp_path: Path) -> None:
    """QEMU reads its one command from the FIFO, whatever comes first."""
    base = str(tmp_path / "a dir" / "events")
    Path(base).parent.mkdir()
    Path(f"{base}.in").write_text("old")
    step = Spawn(
        ("head", "-n1", f"{base}.in"), base, (("touch", f"{base}.helped"),)
    )
    out = subprocess.check_output(["sh", "-ec", step.describe()], text=True)
    assert out == '{"execute":"qmp_capabilities"}\n'
    assert Path(f"{base}.out").read_bytes() == b""
    assert Path(f"{base}.helped").exists()
    assert shlex.split(step.describe().splitlines()[-1])[0] == "head"
