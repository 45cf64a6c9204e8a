"""One VM at one moment: what /proc and QEMU have counted so far."""

from collections.abc import Mapping
from typing import NamedTuple

from qemu_cli.instance.stats.counters import Counters
from qemu_cli.instance.vm import VM
from qemu_cli.proc.load import Traffic


class Sample(NamedTuple):
    """Counters, to be compared with those of another moment.

    :param time: seconds since 1970, for people
    :param time_s: by the monotonic clock, when /proc was read
    :param cpu_s: CPU time of QEMU's process; None: it can't be seen
    :param vcpus: CPU time of the threads of virtual CPUs; None: unknown
    :param taps: the tap interfaces; None: it has none, or may not be
        looked at.  What the host receives, the guest has sent.
    :param asked_s: by the monotonic clock, when QEMU was asked
    :param counters: what QEMU answered; empty: it did not
    :param memory_bytes: what the guest was given
    """

    vm: VM
    time: float
    time_s: float
    cpu_s: float | None = None
    rss_bytes: int | None = None
    vcpus: Mapping[int, float] | None = None
    taps: Mapping[str, Traffic] | None = None
    asked_s: float = 0.0
    counters: Counters = Counters()
    memory_bytes: int | None = None

    @property
    def key(self) -> object:
        """The same for all samples of one run of one VM."""
        process = self.vm.process
        if process:
            return process.pid, process.start_time
        return self.vm.name
