"""Which file a block node is."""

import json

import pytest

from qemu_cli.steps.nodes import file_of, stands_on_another

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
    """As QEMU 7.2 and 10 show it, before and after the transaction."""
    alone = {**DEEP, "backing": None}
    image = {"backing-filename": "/d/disk0.qcow2"}
    shown = {"image": image, "backing_file_depth": 0}
    before = {**shown, "file": f"json:{json.dumps(alone)}"}
    assert not stands_on_another(before)
    assert not stands_on_another({"file": "/d/disk0.1.qcow2", "image": {}})
    after = {**shown, "file": "/d/disk0.1.qcow2", "backing_file": "/d/disk0"}
    assert stands_on_another(after)
