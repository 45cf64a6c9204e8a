"""schema: questions to a small one; the real one is a functional test."""

import pytest

from qemu_cli.qmp.schema import Schema


def member(name, type_name):
    return {"name": name, "type": type_name}


ENTITIES = [
    {"meta-type": "command", "name": "add", "arg-type": "0"},
    {
        "meta-type": "command",
        "name": "old",
        "arg-type": "9",
        "features": ["deprecated"],
    },
    {"meta-type": "event", "name": "STOP", "arg-type": "9"},
    {
        "meta-type": "object",
        "name": "0",
        "members": [
            member("driver", "1"),
            member("list", "[2]"),
            member("either", "4"),
        ],
        "tag": "driver",
        "variants": [{"case": "raw", "type": "3"}],
    },
    {"meta-type": "enum", "name": "1", "values": ["raw", "qcow2"]},
    {"meta-type": "array", "name": "[2]", "element-type": "2"},
    {
        "meta-type": "object",
        "name": "2",
        "members": [member("deep", "1"), member("again", "[2]")],
    },
    {"meta-type": "object", "name": "3", "members": [member("size", "int")]},
    {
        "meta-type": "alternate",
        "name": "4",
        "members": [{"type": "2"}, {"type": "int"}],
    },
    {"meta-type": "object", "name": "9", "members": []},
    {"meta-type": "builtin", "name": "int", "json-type": "int"},
    # A type may have the name of a command.
    {"meta-type": "object", "name": "add", "members": []},
]


@pytest.fixture
def schema():
    return Schema(ENTITIES)


def test_commands_and_events(schema):
    assert schema.has_command("add")
    assert not schema.has_command("STOP")
    assert not schema.has_command("0")
    assert schema.has_event("STOP")
    assert not schema.has_event("add")
    assert schema.features("old") == {"deprecated"}
    assert schema.features("add") == schema.features("nosuch") == frozenset()


@pytest.mark.parametrize(
    "path",
    [
        ["driver"],
        ["size"],
        ["list", "deep"],
        ["list", "again", "again", "deep"],
        ["either", "deep"],
    ],
)
def test_arguments(schema, path):
    assert schema.has_argument("add", *path)
    assert not schema.has_argument("old", *path)
    assert not schema.has_argument("nosuch", *path)
    assert not schema.has_argument("add", *path, "nosuch")
    assert not schema.has_argument("STOP", *path)


def test_values(schema):
    assert schema.has_value("qcow2", "add", "driver")
    assert schema.has_value("raw", "add", "list", "deep")
    assert not schema.has_value("vmdk", "add", "driver")
    assert not schema.has_value("raw", "add", "size")
