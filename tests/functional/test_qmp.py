"""qemu qmp and hmp against real QEMU."""

import json

import pytest

SMALL = ("--memory", "64M", "--accel", "tcg", "--nic", "none")


@pytest.fixture
def web(qemu_home):
    """A function that runs ``qemu qmp web …``; web stands still."""
    assert qemu_home("create", "web", "--disk", "16M", *SMALL).rc == 0
    assert qemu_home("start", "web", "--paused").rc == 0

    def qmp(*words, **options):
        return qemu_home("qmp", "web", *words, **options)

    return qmp


def test_replies_are_json_or_what_is_asked_for(web):
    assert web("query-status").json["status"] == "prelaunch"
    found = web("query-block", "-f", "value", "--columns", "qdev")
    assert found.out == "/machine/peripheral/disk0/virtio-backend\n"
    assert web("query-name", "-f", "csv").out == "name\nweb\n"
    assert web("query-name", "-f", "nosuch").rc == 2


def test_arguments_are_typed_by_this_qemus_schema(web, tmp_path):
    assert web("block_resize", "node-name=disk0", "size=32M").rc == 0
    (block,) = web("query-block").json
    assert block["inserted"]["image"]["virtual-size"] == 32 << 20
    bitmap = [
        {
            "type": "block-dirty-bitmap-add",
            "data": {"node": "disk0", "name": "b0"},
        }
    ]
    file = tmp_path / "actions.json"
    file.write_text(json.dumps(bitmap))
    assert web("transaction", f"@{file}").rc == 0
    other = json.dumps({"node": "disk0", "name": "b1"})
    assert web("block-dirty-bitmap-add", other).rc == 0
    third = json.dumps({"node": "disk0", "name": "b2"})
    assert web("block-dirty-bitmap-add", "-", stdin=third).rc == 0
    (block,) = web("query-block").json
    names = {each["name"] for each in block["inserted"]["dirty-bitmaps"]}
    assert names == {"b0", "b1", "b2"}


@pytest.mark.parametrize(
    ("words", "rc", "why"),
    [
        (["query-blok"], 2, "did you mean query-block"),
        (["block_resize", "siez=1"], 2, "did you mean size?"),
        (["block_resize", "size=1M", "x"], 2, "'x' is no argument"),
        (["blockdev-add", "driver=qcow3"], 2, "driver can't be 'qcow3'"),
        (["blockdev-add", "{"], 2, "is not JSON"),
        (["blockdev-add", "@/nowhere"], 2, "can't be read"),
        (["stop", "[]"], 2, "must be an object"),
        (["stop", "{}", "more"], 2, "not understood: more"),
        (["device_del", "id=nosuch"], 5, "device_del: Device 'nosuch'"),
        (["--help-command", "sto"], 2, "did you mean stop"),
    ],
)
def test_what_is_wrong_is_named(web, words, rc, why):
    result = web(*words)
    assert (result.rc, result.out) == (rc, "")
    assert why in result.err


def test_many_commands_from_stdin(web):
    lines = ["# resume", "cont", "query-status", '{"execute": "stop"}', ""]
    result = web(stdin="\n".join(lines))
    assert result.rc == 0, result.err
    replies = [json.loads(line) for line in result.out.splitlines()]
    assert replies[0] == replies[2] == {}
    assert replies[1]["running"] is True


def test_of_many_commands_all_are_checked_before_one_is_sent(web):
    result = web(stdin="cont\nnosuch\n")
    assert (result.rc, result.out) == (2, "")
    assert web("query-status").json["running"] is False
    failing = web(stdin="cont\ndevice_del id=nosuch\nstop\n")
    assert (failing.rc, failing.out) == (5, "{}\n")
    assert web("query-status").json["running"] is True


def test_help_is_in_qemus_own_schema(web):
    names = web("--list", "query-st*", "-f", "value", "--columns", "command")
    assert "query-status\n" in names.out
    assert "query-block\n" not in names.out
    assert "block-commit" in web("--list", "commit").out
    rows = web("--help-command", "block-commit", "-f", "json").json
    known = {row["argument"]: row for row in rows}
    assert known["device"]["needed"] is True
    assert known["top"]["features"] == "deprecated"
    added = web("--help-command", "blockdev-add", "-f", "json").json
    assert {"driver=qcow2", "driver=nbd"} <= {row["when"] for row in added}


def test_quit_has_a_reply_or_not(web, qemu_home):
    assert web("quit").rc == 0
    result = web("query-status")
    assert result.rc == 4
    assert "does not run" in result.err


def test_the_human_monitor(web, qemu_home):
    assert "disk0.qcow2" in qemu_home("hmp", "web", "info", "block").out
    wrong = qemu_home("hmp", "web", "nosuch")
    assert wrong.rc == 5
    assert "unknown command: 'nosuch'" in wrong.err
    assert qemu_home("hmp", "web").rc == 2
    assert qemu_home("hmp", "nosuch", "info").rc == 3
