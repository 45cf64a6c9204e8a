"""What QEMU's replies say; those of tests/data/qmp/stats.jsonl are real."""

import json
from pathlib import Path

import pytest

from qemu_cli.instance.stats.counters import (
    QUESTIONS,
    Counters,
    DiskCounters,
    from_replies,
)

DATA = Path(__file__).parents[3] / "data" / "qmp"


def recorded(name):
    """The replies to :data:`QUESTIONS`, as the probe hands them over."""
    _, *lines = (DATA / f"{name}.jsonl").read_text().splitlines()
    exchanges = [json.loads(line) for line in lines]
    assert [
        (each["sent"]["execute"], each["sent"].get("arguments", {}))
        for each in exchanges
    ] == list(QUESTIONS)
    return [each["reply"].get("return") for each in exchanges]


def test_one_under_tcg():
    found = from_replies(recorded("stats-tcg"))
    assert list(found.vcpu_threads) == [0, 1]
    assert all(found.vcpu_threads.values())
    assert found.disks == {"vd0": DiskCounters(0, 0, 0, 0)}
    assert found.memory_bytes == 64 << 20
    assert found.balloon_bytes is None  # it has none
    assert found.exits is None


def test_one_under_kvm():
    found = from_replies(recorded("stats-kvm"))
    assert list(found.vcpu_threads) == [0, 1]
    assert found.exits > 0
    assert found.balloon_bytes == found.memory_bytes == 64 << 20


def test_what_is_refused_is_not_known():
    assert from_replies([None] * len(QUESTIONS)) == Counters()


@pytest.mark.parametrize(
    "reply",
    [7, "x", [], {}, [7], [{}], [{"stats": 3}], {"base-memory": "x"}, [[]]],
)
def test_nonsense_raises_nothing(reply):
    found = from_replies([reply] * len(QUESTIONS))
    assert found.memory_bytes is None


def test_a_disk_is_called_as_people_call_it():
    stats = {
        "rd_bytes": 1,
        "wr_bytes": 2,
        "rd_operations": 3,
        "wr_operations": 4,
    }
    reply = [
        {"qdev": "/machine/peripheral/vd0/virtio-backend", "stats": stats},
        {"device": "", "qdev": "sd1", "stats": stats},
        {"device": "drive0", "stats": stats},
        {
            "device": "ide0-hd0",
            "qdev": "/machine/unattached/device[18]",
            "stats": stats,
        },
        {"device": "", "node-name": "node0", "stats": stats},
    ]
    replies = [None, reply, None, None, None]
    found = from_replies(replies).disks
    assert list(found) == ["vd0", "sd1", "drive0", "ide0-hd0", "node0"]
    assert set(found.values()) == {DiskCounters(1, 2, 3, 4)}
