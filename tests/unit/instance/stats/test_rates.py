"""From two samples to rates."""

import pytest

from qemu_cli.instance.stats.counters import Counters, DiskCounters
from qemu_cli.instance.stats.rates import NIC, VCPU, Disk, Usage, usage
from qemu_cli.proc.load import Traffic


def test_cpu_and_memory_by_the_clock_of_proc(sample):
    used = usage(
        sample(10.0, cpu_s=5.0, vcpus={0: 3.0, 1: 1.0}),
        sample(
            12.0,
            cpu_s=8.0,
            vcpus={0: 5.0, 1: 1.5},
            rss_bytes=4096,
            memory_bytes=1 << 26,
        ),
    )
    assert used.interval_s == 2.0
    assert used.cpu_percent == 150.0
    assert used.vcpus == (VCPU(0, 100.0), VCPU(1, 25.0))
    assert (used.rss_bytes, used.memory_bytes) == (4096, 1 << 26)


def test_disks_by_the_time_of_the_question(sample):
    was = {"a": DiskCounters(0, 0, 0, 0), "b": DiskCounters(100, 10, 1, 1)}
    now = {"a": DiskCounters(50, 0, 5, 0), "b": DiskCounters(300, 20, 3, 6)}
    used = usage(
        sample(10.0, asked_s=9.0, counters=Counters(disks=was, exits=7)),
        sample(12.0, asked_s=14.0, counters=Counters(disks=now, exits=57)),
    )
    assert used.disks == (Disk("a", 10, 0, 1, 0), Disk("b", 40, 2, 0.4, 1))
    assert (used.disk_read_bytes_s, used.disk_write_bytes_s) == (50, 2)
    assert (used.disk_read_ops_s, used.disk_write_ops_s) == (1.4, 1)
    assert used.exits_s == 10


def test_what_the_host_receives_the_guest_has_sent(sample):
    used = usage(
        sample(0.0, taps={"tap0": Traffic(0, 0), "tap1": Traffic(0, 0)}),
        sample(2.0, taps={"tap0": Traffic(10, 20), "tap1": Traffic(2, 4)}),
    )
    assert used.nics == (NIC("tap0", 10, 5), NIC("tap1", 2, 1))
    assert (used.net_in_bytes_s, used.net_out_bytes_s) == (12, 6)


def test_nothing_is_known_of_what_nobody_tells(sample):
    bare = sample(2.0, rss_bytes=1)
    assert usage(None, bare) == Usage(rss_bytes=1)
    found = usage(sample(0.0), bare)
    assert found == Usage(interval_s=2.0, rss_bytes=1)


def test_another_run_has_no_rates(sample):
    found = usage(sample(0.0, cpu_s=1.0), sample(1.0, pid=8, cpu_s=2.0))
    assert found == Usage()


@pytest.mark.parametrize("later_s", [0.0, -1.0])
def test_no_time_has_passed(sample, later_s):
    found = usage(sample(1.0, cpu_s=1.0), sample(1.0 + later_s, cpu_s=2.0))
    assert found.cpu_percent is None


def test_a_counter_that_began_anew_is_not_known(sample):
    was = Counters(disks={"a": DiskCounters(9, 9, 9, 9)}, exits=9)
    now = Counters(disks={"a": DiskCounters(10, 0, 9, 9)}, exits=1)
    used = usage(sample(0.0, counters=was), sample(1.0, counters=now))
    assert used.disks == ()
    assert used.exits_s is None


def test_what_was_plugged_in_between_is_left_out_once(sample):
    one = DiskCounters(0, 0, 0, 0)
    used = usage(
        sample(0.0, vcpus={0: 0.0}, counters=Counters(disks={"a": one})),
        sample(
            1.0,
            vcpus={0: 0.0, 1: 5.0},
            counters=Counters(disks={"a": one, "b": one}),
        ),
    )
    assert used.vcpus == (VCPU(0, 0.0),)
    assert [disk.id for disk in used.disks] == ["a"]


def test_a_question_that_was_not_answered_this_time(sample):
    was = Counters(disks={"a": DiskCounters(1, 1, 1, 1)}, exits=1)
    used = usage(
        sample(0.0, cpu_s=0.0, counters=was),
        sample(1.0, cpu_s=0.5, asked_s=0.0),
    )
    assert used.cpu_percent == 50.0
    assert used.disks is used.disk_read_bytes_s is used.exits_s is None


def test_one_that_is_not_on_this_host(sample):
    counters = Counters(disks={"a": DiskCounters(0, 0, 0, 0)})
    more = Counters(disks={"a": DiskCounters(5, 0, 0, 0)})
    used = usage(
        sample(0.0, pid=None, counters=counters),
        sample(1.0, pid=None, counters=more),
    )
    assert used.disk_read_bytes_s == 5
    assert used.cpu_percent is None
