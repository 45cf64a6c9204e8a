"""The schemas in the documentation are those of what commands print."""

from collections.abc import Iterator
from typing import Any

import pytest

from qemu_cli.manual.schemas import OUTCOME, SCHEMAS, Schema
from qemu_cli.testing.home import QemuHome

TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "any": (object,),
}


def wrong(schema: Schema, printed: Any) -> list[str]:
    """What is not as the schema says."""
    if isinstance(printed, list) != schema.rows:
        return [f"rows: {schema.rows}"]
    rows = printed if schema.rows else [printed]
    found = []
    for row in rows:
        if [*row] != [*schema.keys]:
            found.append(f"keys: {[*row]}")
        for key, value in row.items():
            kind = schema.keys.get(key, "any")
            if value is None and (kind.endswith("?") or kind == "any"):
                continue
            kind = kind.removesuffix("?")
            fits = isinstance(value, TYPES[kind])
            # For Python, yes is an integer.
            if not fits or (isinstance(value, bool) and kind == "integer"):
                found.append(f"{key}: {value!r} is no {kind}")
    return found


@pytest.fixture
def home(qemu_home: QemuHome) -> Iterator[QemuHome]:
    """A VM that runs, with snapshots, an export and a history; one not."""
    for name in "run", "off":
        made = qemu_home(
            *("create", name, "--disk", "8M", "--accel", "tcg"),
            *("--nic", "none", "--memory", "64M"),
        )
        assert made.rc == 0, made.err
    for words in (
        ("start", "run", "--paused"),
        ("snapshot", "create", "run", "inner"),
        ("snapshot", "create", "run", "outer", "--external"),
        ("nbd-export", "run", "--live"),
        ("image", "create", qemu_home.directory / "a.qcow2", "4M"),
    ):
        done = qemu_home(*words)
        assert done.rc == 0, done.err
    yield qemu_home


def test_every_schema_is_that_of_the_output(home: QemuHome) -> None:
    image = str(home.directory / "a.qcow2")
    commands = {
        "list": [["run", "off"]],
        "show": [["run"], ["off"]],
        "stats": [["run", "--interval", "100ms"]],
        "log": [["run"]],
        "config list": [[]],
        "plugin list": [["--all"]],
        "doctor": [[]],
        "version": [[], ["--all"]],
        "snapshot list": [["run"]],
        "snapshot show": [["run", "inner"], ["run", "outer"]],
        "disk list": [["run"], ["off"]],
        "disk info": [["run", "disk0"], ["off", "disk0"]],
        "device list": [["run"], ["off"]],
        "export list": [[]],
        "image info": [[image]],
        "image check": [[image]],
        "image compare": [[image, image]],
        "image map": [[image]],
        "capture": [["run"]],
        "wait": [["run", "--for", "paused"]],
    }
    assert commands.keys() == SCHEMAS.keys()
    for words, calls in commands.items():
        for arguments in calls:
            done = home(*words.split(), *arguments, "-f", "json")
            assert done.out, f"{words}: {done.err}"
            assert wrong(SCHEMAS[words], done.json) == [], words
    done = home("pause", "run", "off", "-f", "json")
    assert len(done.json) == 2
    assert wrong(OUTCOME, done.json) == []


def test_a_wrong_output_is_noticed() -> None:
    schema = Schema(True, {"name": "text", "pid": "integer?"})
    assert wrong(schema, [{"name": "a", "pid": None}]) == []
    assert wrong(schema, {"name": "a", "pid": 1})
    assert wrong(schema, [{"pid": 1, "name": "a"}])
    assert wrong(schema, [{"name": None, "pid": 1}])
    assert wrong(schema, [{"name": "a", "pid": True}])
