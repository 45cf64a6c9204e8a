"""What is rewritten when a directory moves."""

from pathlib import Path

import pytest

from qemu_cli.errors import StateError
from qemu_cli.instance.rename import plan_rename, rewrite
from qemu_cli.paths import InstancePaths
from qemu_cli.steps import Move, Tool
from qemu_cli.storage.dependants import Reference

OLD = InstancePaths(Path("/h/old"), Path("/r/old"))
NEW = InstancePaths(Path("/h/new"), Path("/r/new"))
USER = InstancePaths(Path("/h/user"), Path("/r/user"))


def reference(image: str, name: str | None, file: str) -> Reference:
    return Reference(Path(image), "qcow2", Path(file), "qcow2", name)


@pytest.mark.parametrize(
    ("user", "image", "name", "file", "moved"),
    [
        (USER, "/h/user/a", "/h/old/b", "/h/old/b", "/h/new/b"),
        (USER, "/h/user/a", "../old/b", "/h/user/../old/b", "../new/b"),
        (USER, "/h/user/s/a", "/h/old/s/b", "/h/old/s/b", "/h/new/s/b"),
        (OLD, "/h/old/a", "/h/old/b", "/h/old/b", "/h/new/b"),
        (OLD, "/h/old/a", "../old/b", "/h/old/../old/b", "../new/b"),
    ],
)
def test_a_reference(
    user: InstancePaths, image: str, name: str, file: str, moved: str
) -> None:
    step = rewrite(reference(image, name, file), user, OLD, NEW, "qemu-img")
    assert step.argv[step.argv.index("-b") + 1] == moved
    assert step.argv[step.argv.index("-F") + 1] == "qcow2"
    assert "-u" in step.argv
    assert step.argv[-1] == step.back[-1] == image
    back = step.back[step.back.index("-b") + 1]
    assert back == name


@pytest.mark.parametrize(
    "needed",
    [
        reference("/h/user/a", None, "/h/old/data"),
        reference("/h/user/a", 'json:{"filename":"x"}', "/h/old/b"),
        reference("/srv/a", "/h/old/b", "/h/old/b"),
        reference("/h/user/a", "/h/old/b", "/h/old/b")._replace(
            file_format=None
        ),
    ],
)
def test_what_can_not_be_told(needed: Reference) -> None:
    with pytest.raises(StateError, match="can't be told"):
        rewrite(needed, USER, OLD, NEW, "qemu-img")


def test_the_move_comes_after_all_that_can_fail() -> None:
    steps = [Tool(("true",)), Tool(("true",))]
    plan = plan_rename(OLD, NEW, steps, ["user"])
    assert plan.steps[:2] == tuple(steps)
    assert plan.steps[2] == Move("/h/old", "/h/new")
    assert plan.commit == 3
    assert set(plan.also) == {"new", "user"}
