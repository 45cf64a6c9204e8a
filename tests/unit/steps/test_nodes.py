"""Which file a block node is."""

import json

import pytest

from qemu_cli.steps.nodes import file_of, lacks_backing

DEEP = {
    "driver": "qcow2",
    "backing": {"driver": "raw", "file": {"filename": "/d/base.raw"}},
    "file": {"driver": "file", "filename": "/d/disk0.1.qcow2"},
}


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("/d/disk0.qcow2", "/d/disk0.qcow2"),
        (f"json:{json.dumps(DEEP)}", "/d/disk0.1.qcow2"),
        ('json:{"driver": "null-co"}', 'json:{"driver": "null-co"}'),
    ],
)
def test_the_file_behind_a_node(name: str, file: str) -> None:
    assert file_of({"file": name}) == file


def test_an_overlay_that_is_not_put_on_yet() -> None:
    alone = {**DEEP, "backing": None}
    assert lacks_backing({"file": f"json:{json.dumps(alone)}"})
    assert not lacks_backing({"file": f"json:{json.dumps(DEEP)}"})
    assert not lacks_backing({"file": "/d/disk0.qcow2"})
