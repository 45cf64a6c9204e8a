"""Words and JSON against a small schema; the real one is functional."""

import pytest

from qemu_cli.errors import UsageError
from qemu_cli.qmp import manual
from qemu_cli.qmp.arguments import check, from_words
from qemu_cli.qmp.manual import Argument
from qemu_cli.qmp.schema import Schema


def member(name, type_name, *features, needed=True):
    found = {"name": name, "type": type_name, "features": list(features)}
    return found if needed else {**found, "default": None}


def builtin(name, json_type):
    return {"meta-type": "builtin", "name": name, "json-type": json_type}


SCHEMA = Schema(
    [
        {
            "meta-type": "command",
            "name": "node-add",
            "arg-type": "0",
            "ret-type": "9",
        },
        {
            "meta-type": "command",
            "name": "many",
            "arg-type": "5",
            "ret-type": "[1]",
            "features": ["unstable"],
        },
        {"meta-type": "event", "name": "STOP", "arg-type": "9"},
        {
            "meta-type": "object",
            "name": "0",
            "members": [
                member("driver", "1"),
                member("node-name", "str", needed=False),
            ],
            "tag": "driver",
            "variants": [
                {"case": "qcow2", "type": "2"},
                {"case": "file", "type": "3"},
            ],
        },
        {"meta-type": "enum", "name": "1", "values": ["qcow2", "file"]},
        {
            "meta-type": "object",
            "name": "2",
            "members": [
                member("file", "4"),
                member("lazy", "bool", "deprecated", needed=False),
            ],
        },
        {
            "meta-type": "object",
            "name": "3",
            "members": [member("filename", "str")],
        },
        {
            "meta-type": "alternate",
            "name": "4",
            "members": [{"type": "0"}, {"type": "str"}],
        },
        {
            "meta-type": "object",
            "name": "5",
            "members": [
                member("size", "int", needed=False),
                member("share", "number", needed=False),
                member("nodes", "[str]", needed=False),
                member("drivers", "[1]", needed=False),
                member("inner", "3", needed=False),
                member("value", "any", needed=False),
                member("maybe", "6", needed=False),
            ],
        },
        {
            "meta-type": "alternate",
            "name": "6",
            "members": [{"type": "null"}, {"type": "int"}],
        },
        {"meta-type": "object", "name": "9", "members": []},
        {"meta-type": "array", "name": "[str]", "element-type": "str"},
        {"meta-type": "array", "name": "[1]", "element-type": "1"},
        builtin("str", "string"),
        builtin("int", "int"),
        builtin("bool", "boolean"),
        builtin("number", "number"),
        builtin("any", "value"),
        builtin("null", "null"),
    ]
)


def typed(command, *words):
    return check(SCHEMA, command, from_words(words))


@pytest.mark.parametrize(
    ("words", "sent"),
    [
        (["size=12"], {"size": 12}),
        (["size=0x10"], {"size": 16}),
        (["size=10M"], {"size": 10 << 20}),
        (["share=0.5"], {"share": 0.5}),
        (["nodes=a,b"], {"nodes": ["a", "b"]}),
        (["nodes=a", "nodes=b,c"], {"nodes": ["a", "b,c"]}),
        (["nodes="], {"nodes": []}),
        (['nodes=["a,b"]'], {"nodes": ["a,b"]}),
        (["nodes.1=b", "nodes.0=a"], {"nodes": ["a", "b"]}),
        (["inner.filename=12"], {"inner": {"filename": "12"}}),
        (['inner={"filename":"x"}'], {"inner": {"filename": "x"}}),
        (["value=[1]"], {"value": [1]}),
        (["value=a b"], {"value": "a b"}),
        (["maybe=null"], {"maybe": None}),
        (["maybe=3"], {"maybe": 3}),
        ([], {}),
    ],
)
def test_words_get_the_types_of_the_schema(words, sent):
    assert typed("many", *words) == sent


def test_a_union_takes_what_its_tag_allows():
    words = ["driver=qcow2", "file.driver=file", "file.filename=/a", "lazy=on"]
    assert typed("node-add", *words) == {
        "driver": "qcow2",
        "file": {"driver": "file", "filename": "/a"},
        "lazy": True,
    }
    assert typed("node-add", "driver=qcow2", "file=x")["file"] == "x"


@pytest.mark.parametrize(
    ("words", "why", "hint"),
    [
        (["driver=qcow"], "node-add.driver can't be 'qcow'", "mean qcow2"),
        (["driver=file"], "node-add needs filename", ""),
        ([], "node-add needs driver", ""),
        (["driver=file", "filenam=x"], "no argument 'filenam'", "filename"),
        (
            ["driver=qcow2", "file.driver=file", "file.nam=x"],
            "node-add.file has no argument 'nam'",
            "",
        ),
        (["driver=qcow2", "file=x", "lazy=maybe"], "lazy must be on or", ""),
        (["driver"], "'driver' is no argument", "key=value"),
        (["a=1", "a.b=2"], "can't have both", ""),
        (["a.b=2", "a=1"], "can't have both", ""),
    ],
)
def test_what_is_wrong_is_named(words, why, hint):
    with pytest.raises(UsageError, match=why) as caught:
        typed("node-add", *words)
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"size": "12"}, "many.size must be a whole number, not '12'"),
        ({"size": True}, "many.size must be a whole number, not true"),
        ({"nodes": "a"}, "many.nodes must be an array"),
        ({"drivers": ["qcow2", "x"]}, r"many.drivers\[1\] can't be 'x'"),
        ({"inner": 3}, "many.inner must be an object, not 3"),
        ({"share": "x" * 99}, r"not 'x{56}\.\.\.$"),
    ],
)
def test_json_is_checked_in_the_same_way(given, why):
    with pytest.raises(UsageError, match=why):
        check(SCHEMA, "many", given)


def test_words_that_are_no_numbers():
    with pytest.raises(UsageError, match=r"many\.size must be a whole number"):
        typed("many", "size=big")
    with pytest.raises(UsageError, match=r"many\.inner is not JSON"):
        typed("many", "inner={")


@pytest.mark.parametrize("ask", [typed, manual.of_command])
def test_a_command_that_there_is_not(ask):
    arguments = (SCHEMA, "node-ad") if ask is not typed else ("node-ad",)
    with pytest.raises(UsageError, match="no command 'node-ad'") as caught:
        ask(*arguments)
    assert caught.value.hint == "did you mean node-add?"
    with pytest.raises(UsageError) as caught:
        typed("STOP")
    assert "--list" in caught.value.hint


def test_the_manual_of_a_union():
    found = manual.of_command(SCHEMA, "node-add")
    assert found.returns == "nothing"
    assert found.arguments == (
        Argument("driver", "qcow2|file", True, "", ()),
        Argument("node-name", "text", False, "", ()),
        Argument(
            "file", "{driver, node-name} or text", True, "driver=qcow2", ()
        ),
        Argument("lazy", "on|off", False, "driver=qcow2", ("deprecated",)),
        Argument("filename", "text", True, "driver=file", ()),
    )


def test_the_manual_of_nested_arguments():
    found = manual.of_command(SCHEMA, "many")
    assert found.features == ("unstable",)
    assert found.returns == "list of qcow2|file"
    kinds = {each.name: each.kind for each in found.arguments}
    assert kinds["nodes"] == "list of text"
    assert kinds["inner"] == "{filename}"
    assert kinds["inner.filename"] == "text"
    assert kinds["maybe"] == "null or number"


def test_names():
    assert SCHEMA.commands == ["many", "node-add"]
    assert SCHEMA.events == ["STOP"]
