"""Plans to run."""

from pathlib import Path

from qemu_cli import steps
from qemu_cli.steps import (
    AnyStep,
    MakeDirectory,
    Move,
    Remove,
    Spawn,
    WriteFile,
)


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
