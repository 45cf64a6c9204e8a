"""Every format, of the same rows."""

import argparse
import csv
import io
import json
import os
import pty

import pytest
import yaml

from qemu_cli import extensions, settings
from qemu_cli.columns import Size, State, plain
from qemu_cli.errors import UsageError
from qemu_cli.formatters import table

NAMES = ("name", "state", "memory_mib", "disks")
ROWS = [
    ("web", State("running"), Size(512, unit=2**20), [{"id": "a"}]),
    ("db\x1b[2J", State("crashed"), Size(None), []),
]


class Config(dict):
    def __missing__(self, setting):
        return setting.default


def emit(name, rows=ROWS, stream=None, one=False, **config):
    group = "show" if one else "list"
    formatter = extensions.pick(f"qemu_cli.formatters.{group}", name)()
    if not getattr(formatter, "human", False):
        rows = [[plain(value) for value in row] for row in rows]
    stream = stream or io.StringIO()
    args = argparse.Namespace(config=Config(config.get("config", {})))
    if one:
        formatter.emit_one(NAMES, rows[0], stream, args)
    else:
        formatter.emit_list(NAMES, rows, stream, args)
    return stream.getvalue() if isinstance(stream, io.StringIO) else None


OBJECTS = [
    {
        "name": "web",
        "state": "running",
        "memory_mib": 512,
        "disks": [{"id": "a"}],
    },
    {
        "name": "db\x1b[2J",
        "state": "crashed",
        "memory_mib": None,
        "disks": [],
    },
]


def test_json_is_a_bare_array_or_object():
    assert json.loads(emit("json")) == OBJECTS
    assert json.loads(emit("json", one=True)) == OBJECTS[0]
    assert json.loads(emit("json", rows=[])) == []


def test_ndjson_is_an_object_a_line():
    assert [json.loads(ln) for ln in emit("ndjson").splitlines()] == OBJECTS
    assert emit("ndjson", rows=[]) == ""


def test_yaml_has_the_same_data():
    assert yaml.safe_load(emit("yaml")) == OBJECTS
    assert yaml.safe_load(emit("yaml", one=True)) == OBJECTS[0]


def test_json_escapes_only_what_the_encoding_can_not_take():
    rows = [("ë", State("running"), Size(1), "\udcff")]
    assert '"ë"' in emit("json", rows=rows)
    assert "\\udcff" in emit("json", rows=rows)
    latin = io.TextIOWrapper(io.BytesIO(), "latin-1")
    emit("json", rows=rows, stream=latin)
    latin.seek(0)
    assert json.loads(latin.read())[0]["name"] == "ë"


def test_csv_can_be_read_again():
    first, second = csv.DictReader(io.StringIO(emit("csv")))
    assert first == {
        "name": "web",
        "state": "running",
        "memory_mib": "512",
        "disks": '[{"id": "a"}]',
    }
    assert second["memory_mib"] == ""
    assert len(emit("csv", one=True).splitlines()) == 2


def test_value_is_bare():
    assert emit("value").splitlines()[0] == 'web\trunning\t512\t[{"id": "a"}]'
    assert emit("value", one=True).splitlines()[:2] == ["web", "running"]
    rows = [("a\tb\nc", "", "", "")]
    assert emit("value", rows=rows) == "a\\tb\\nc\t\t\t\n"


def test_template():
    config = {settings.TEMPLATE_LIST: "{name:5}|{memory_mib:>4}\\t{state}"}
    lines = emit("template", config=config).splitlines()
    assert lines[0] == "web  | 512\trunning"
    config = {settings.TEMPLATE_SHOW: "{disks}"}
    assert emit("template", config=config, one=True) == '[{"id": "a"}]\n'


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("", "is empty"),
        ("{nmae}", "no column 'nmae' to show; known: name, state"),
        ("{name.__class__}", "no column"),
        ("{name", "template"),
        ("{name:>x}", "template"),
        ("{}", "no column"),
    ],
)
def test_a_bad_template_is_a_usage_error(template, message):
    with pytest.raises(UsageError, match=message):
        emit("template", config={settings.TEMPLATE_LIST: template})


def test_table_is_aligned_and_has_no_borders():
    assert emit("table", rows=[row[:4] for row in ROWS]).splitlines() == [
        "NAME       STATE       MEMORY  DISKS",
        'web        running  512.0 MiB  [{"id": "a"}]',
        "db\\x1b[2J  crashed",
    ]


def test_a_table_of_nothing_is_its_header():
    assert emit("table", rows=[]) == "NAME  STATE  MEMORY  DISKS\n"


def test_show_is_key_and_value():
    assert emit("table", one=True).splitlines() == [
        "name:   web",
        "state:  running",
        "memory: 512.0 MiB",
        "disks:  id=a",
    ]


def test_a_guest_can_not_steer_the_terminal():
    evil = "\x1b]0;x\x07\u202e\r\n\u200b"
    rows = [(evil, State("running"), Size(1), [evil])]
    for one in (False, True):
        text = emit("table", rows=rows, one=one)
        assert all(line.isprintable() for line in text.splitlines())


def test_wide_characters_count_twice():
    rows = [("日本", "x", 1, ""), ("e\u0301a", "y", 1, "")]
    lines = emit("table", rows=rows).splitlines()
    places = [
        table.width(line[: line.index(word)])
        for line, word in zip(lines, ("STATE", "x", "y"), strict=True)
    ]
    assert len(set(places)) == 1
    assert table.width("日本") == 4
    assert table.width("e\u0301") == 1


def on_terminal(columns, rows, config=None):
    primary, secondary = pty.openpty()
    os.environ["COLUMNS"] = str(columns)
    text = b""
    # Read before the other end is closed: a busy kernel may lose the rest.
    with os.fdopen(secondary, "w") as stream:
        emit("table", rows=rows, stream=stream, config=config or {})
        stream.write("\0")
        stream.flush()
        while not text.endswith(b"\0"):
            text += os.read(primary, 65536)
    os.close(primary)
    return text[:-1].decode().replace("\r\n", "\n").splitlines()


def test_a_table_fits_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    rows = [("web", "running", 1, "x" * 100)]
    lines = on_terminal(40, rows)
    assert max(map(len, lines)) == 40
    assert lines[1].startswith("web   running")
    assert lines[1].endswith("x…")
    assert "x" * 100 in emit("table", rows=rows)  # but not a pipe


def test_states_are_coloured_on_a_terminal_only(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert "\x1b[32mrunning\x1b[0m" in on_terminal(80, ROWS)[1]
    never = {settings.COLOR: "never"}
    assert "\x1b" not in on_terminal(80, ROWS, never)[1]
    assert "\x1b" not in emit("table")
    assert "\x1b[32m" in emit("table", config={settings.COLOR: "always"})


def test_yaml_keeps_the_order_and_the_letters():
    text = emit("yaml", rows=[("wéb", State("running"), Size(1), [])])
    assert text.splitlines()[0] == "- name: wéb"
    assert list(yaml.safe_load(text)[0]) == list(NAMES)


def test_a_cell_of_markdown_ends_no_other():
    text = emit("markdown", rows=[("a|b<i>\n", State("running"), None, [])])
    assert "| a\\|b&lt;i><br> | running |" in text
    text = emit("markdown", one=True)
    assert "| memory | 512.0 MiB |" in text
