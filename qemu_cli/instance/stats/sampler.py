"""Looks at VMs again and again, as cheaply as ``list`` does.

All monitors are asked at once, over plain sockets.  One that is held by
another client, or whose process is stopped, is not asked, and one that was
silent is left alone for a while: nobody waits for it at each look.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from qemu_cli.instance import facts, looking, resolve
from qemu_cli.instance.discovery import strangers
from qemu_cli.instance.host import Host
from qemu_cli.instance.stats.counters import (
    QUESTIONS,
    Counters,
    from_replies,
)
from qemu_cli.instance.stats.sample import Sample
from qemu_cli.instance.vm import VM
from qemu_cli.proc import Process, ProcFS, load
from qemu_cli.qmp.probe import Answer, Target

#: How long one that was silent is not asked again.
PATIENCE_S = 5.0

_MIB = 1 << 20

#: What a VM is asked by: its process, or where there is none its address.
_Asked = int | str


class _Silence(NamedTuple):
    """What one was found to be that did not answer, and until when."""

    answer: Answer
    until_s: float


class Sampler:
    """Takes samples of the same VMs; for one thread at a time.

    :param references: which VMs, as users name them; none: all that run
    :param foreign: with no references, also those that others started
    """

    def __init__(
        self,
        host: Host,
        references: Sequence[str] = (),
        *,
        foreign: bool = True,
    ) -> None:
        self._host = host
        self._references = references
        self._foreign = foreign
        self._chosen: list[VM] | None = None
        self._silent: dict[_Asked, _Silence] = {}
        self._memory: dict[tuple[int, int], int | None] = {}

    def take(self) -> list[Sample]:
        """Take a sample of each; yours come first, as in ``list``.

        Of VMs that were named, those that have been deleted or, being
        others', have ended are left out from then on.

        :raise NotFoundError: a name does not exist; at the first look only
        """
        procfs = ProcFS()
        look = _Look(self._host, self._silent)
        found = self._look(procfs, look)
        samples = [self._sample(vm, procfs, look) for vm in found]
        self._forget(samples)
        return samples

    def _look(self, procfs: ProcFS, look: "_Look") -> list[VM]:
        if self._references:
            return self._look_at_chosen(procfs, look)
        found = resolve.select(
            self._host.paths,
            (),
            probe=look.probe,
            every=True,
            strangers=self._host.strangers if self._foreign else None,
        )
        return [vm for vm in found if vm.alive]

    def _look_at_chosen(self, procfs: ProcFS, look: "_Look") -> list[VM]:
        paths = self._host.paths
        if self._chosen is None:
            self._chosen = resolve.select(
                paths,
                self._references,
                probe=look.probe,
                strangers=self._host.strangers,
            )
            return self._chosen
        wanted: list[str | VM] = []
        for vm in self._chosen:
            if not vm.foreign:
                wanted.append(vm.name)
            elif now := strangers.again(paths, procfs, vm):
                wanted.append(now)
        found = looking.look(paths, wanted, procfs, look.probe)
        self._chosen = [
            vm for vm in found if vm.alive or vm.paths.directory.exists()
        ]
        return self._chosen

    def _sample(self, vm: VM, procfs: ProcFS, look: "_Look") -> Sample:
        asked_s, counters = look.told(vm)
        sample = Sample(
            vm,
            time.time(),
            time.monotonic(),
            asked_s=asked_s,
            counters=counters,
            memory_bytes=counters.memory_bytes,
        )
        process = vm.process
        used = load.load(procfs, process) if process else None
        if process is None or used is None:
            return sample
        if sample.memory_bytes is None:
            sample = sample._replace(memory_bytes=self._given(process))
        names = load.taps(procfs, process)
        taps = None
        if names:
            there = load.interfaces(procfs, process)
            taps = {name: there[name] for name in names if name in there}
        return sample._replace(
            cpu_s=used.cpu_s,
            rss_bytes=used.rss_bytes,
            vcpus=_vcpus(procfs, process, counters),
            taps=taps,
        )

    def _given(self, process: Process) -> int | None:
        """The memory that a command line gives to the guest."""
        key = process.pid, process.start_time
        if key not in self._memory:
            mib = facts.from_argv(process.argv).memory_mib
            self._memory[key] = None if mib is None else mib * _MIB
        return self._memory[key]

    def _forget(self, samples: Sequence[Sample]) -> None:
        """What has ended is not kept for ever."""
        keys = {sample.key for sample in samples}
        for key in self._memory.keys() - keys:
            del self._memory[key]
        now_s = time.monotonic()
        for asked, silence in list(self._silent.items()):
            if silence.until_s < now_s:
                del self._silent[asked]


class _Look:
    """One round of questions."""

    def __init__(self, host: Host, silent: dict[_Asked, _Silence]) -> None:
        self._host = host
        self._silent = silent
        self._asked_s: dict[_Asked, float] = {}
        self._counters: dict[_Asked, Counters] = {}

    def probe(self, targets: Iterable[Target]) -> list[Answer]:
        """Ask whom ``looking.look`` wants to ask, and more than that does."""
        order: list[_Asked] = []

        def asked() -> Iterator[Target]:
            for target in targets:
                who = target.pid or target.address
                order.append(who)
                if who not in self._silent:
                    self._asked_s[who] = time.monotonic()
                    yield target._replace(questions=QUESTIONS)

        answers = iter(self._host.probe(asked()))
        return [
            self._heard(who, next(answers))
            if who in self._asked_s
            else self._silent[who].answer
            for who in order
        ]

    def told(self, vm: VM) -> tuple[float, Counters]:
        """When a VM was asked, and what it counted."""
        who: _Asked | None = vm.process.pid if vm.process else None
        if who is None and vm.foreign:
            who = vm.foreign.access.address
        if who is None or who not in self._counters:
            return 0.0, Counters()
        return self._asked_s[who], self._counters[who]

    def _heard(self, who: _Asked, answer: Answer) -> Answer:
        if answer.reach == "free":
            self._counters[who] = from_replies(answer.replies)
        elif answer.reach in ("stuck", "busy", "garbage"):
            until_s = time.monotonic() + PATIENCE_S
            self._silent[who] = _Silence(answer, until_s)
        return answer


def _vcpus(
    procfs: ProcFS, process: Process, counters: Counters
) -> dict[int, float] | None:
    threads = counters.vcpu_threads
    if threads is None:
        threads = load.named_vcpus(procfs, process)
    found = {}
    for number, thread in threads.items():
        cpu_s = load.thread_cpu_s(procfs, process, thread)
        if cpu_s is not None:
            found[number] = cpu_s
    return found or None
