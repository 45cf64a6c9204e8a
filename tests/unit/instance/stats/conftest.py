"""Samples without a host."""

from pathlib import Path
from typing import Any

import pytest

from qemu_cli.instance.stats.counters import Counters
from qemu_cli.instance.stats.sample import Sample
from qemu_cli.instance.vm import VM
from qemu_cli.paths import InstancePaths
from qemu_cli.proc import Process


@pytest.fixture
def sample():
    """``sample(at_s, pid=7, name=…, asked_s=…, counters=…, **parts)``."""

    def make(
        at_s: float,
        *,
        pid: int | None = 7,
        name: str = "web",
        asked_s: float | None = None,
        counters: Counters | None = None,
        **parts: Any,
    ) -> Sample:
        nowhere = Path("/nowhere")
        process = Process(pid, 100, "S", ("qemu",)) if pid else None
        paths = InstancePaths(nowhere / name, nowhere)
        return Sample(
            VM(name, paths, "running", process=process),
            time=1e9 + at_s,
            time_s=at_s,
            asked_s=at_s if asked_s is None else asked_s,
            counters=counters or Counters(),
            **parts,
        )

    return make
