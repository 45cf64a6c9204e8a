"""Lines that are being typed, against a small schema."""

import pytest

from qemu_cli.qmp.completion import candidates
from qemu_cli.qmp.schema import Schema


def member(name, type_name, *, needed=True, features=()):
    found = {"name": name, "type": type_name, "features": list(features)}
    return found if needed else {**found, "default": None}


def builtin(name, json_type):
    return {"meta-type": "builtin", "name": name, "json-type": json_type}


def command(name, arguments, *features):
    return {
        "meta-type": "command",
        "name": name,
        "arg-type": arguments,
        "ret-type": "0",
        "features": list(features),
    }


def thing(name, *members, **more):
    return {
        "meta-type": "object",
        "name": name,
        "members": list(members),
        **more,
    }


SCHEMA = Schema(
    [
        command("node-add", "node"),
        command("node-del", "0", "unstable", "deprecated"),
        command("set", "set"),
        thing("0"),
        thing(
            "node",
            member("node-name", "str", needed=False),
            member("driver", "driver"),
            tag="driver",
            variants=[
                {"case": "qcow2", "type": "qcow2"},
                {"case": "raw", "type": "0"},
            ],
        ),
        thing("qcow2", member("file", "ref")),
        {
            "meta-type": "alternate",
            "name": "ref",
            "members": [{"type": "node"}, {"type": "str"}],
        },
        thing(
            "set",
            member("lazy", "bool", needed=False),
            member("many", "[driver]", needed=False, features=["unstable"]),
            member("inner", "inner", needed=False),
            member("nodes", "[node]", needed=False),
            member("either", "either", needed=False),
        ),
        thing("inner", member("driver", "driver")),
        {"meta-type": "enum", "name": "driver", "values": ["qcow2", "raw"]},
        {
            "meta-type": "alternate",
            "name": "either",
            "members": [{"type": "bool"}, {"type": "driver"}],
        },
        {
            "meta-type": "array",
            "name": "[driver]",
            "element-type": "driver",
        },
        {"meta-type": "array", "name": "[node]", "element-type": "node"},
        builtin("str", "string"),
        builtin("bool", "boolean"),
    ]
)


@pytest.mark.parametrize(
    ("text", "ways"),
    [
        ("", ["node-add", "node-del", "set"]),
        ("node", ["node-add", "node-del"]),
        ("  se", ["set"]),
        ("nosuch ", []),
        ("{", []),
        # What it needs comes first; what is there is not said twice.
        ("node-add ", ["driver=", "node-name="]),
        ("node-add driver=raw ", ["node-name="]),
        ("node-add no", ["node-name="]),
        ("node-add nosuch=", []),
        ("node-add node-name=", []),
        # A union's members are known when its tag is.
        ("node-add driver=qcow2 f", ["file="]),
        ("node-add driver=raw f", []),
        ("node-add driver=qcow2 file.", ["file.driver=", "file.node-name="]),
        (
            "node-add driver=qcow2 file.driver=qcow2 file.f",
            ["file.file="],
        ),
        ("node-add driver=qcow2 file.driver=r", ["raw"]),
        ("node-add driver=", ["qcow2", "raw"]),
        ("set lazy=", ["on", "off"]),
        ("set lazy=of", ["off"]),
        ("set many=q", ["qcow2"]),
        ("set many=raw,", ["qcow2", "raw"]),
        ("set in", ["inner."]),
        ("set inner.", ["inner.driver="]),
        ("set nodes.0.d", ["nodes.0.driver="]),
        ("set nodes.0.driver=r", ["raw"]),
        ("set nodes.x.", []),
        ("set either=", ["on", "off", "qcow2", "raw"]),
        ("set lazy.x.y=", []),
    ],
)
def test_how_a_line_can_go_on(text, ways):
    found = candidates(SCHEMA, text)
    assert [each.text for each in found] == ways


def test_what_is_replaced_and_what_it_is():
    assert candidates(SCHEMA, "node-d") == [
        ("node-del", 6, "deprecated, unstable")
    ]
    assert candidates(SCHEMA, "set many=raw,q") == [("qcow2", 1, "")]
    [driver, name] = candidates(SCHEMA, "node-add ")
    assert (driver.note, name.note) == ("needed, qcow2|raw", "text")
    [many] = candidates(SCHEMA, "set ma")
    assert many.note == "list of qcow2|raw, unstable"
