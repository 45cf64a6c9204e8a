"""VMs to look at."""

import contextlib
import os
import signal
from collections.abc import Callable

import pytest


@pytest.fixture
def start(qemu_home) -> Callable[..., int]:
    """``start(NAME, *OPTIONS)`` makes and starts a VM; returns its pid."""

    def create(name: str, *options: str) -> int:
        made = qemu_home(
            *("create", name, "--accel", "tcg", "--nic", "none"),
            *("--memory", "64M", "--disk", "1M", *options),
        )
        assert made.rc == 0, made.err
        started = qemu_home("start", name)
        assert started.rc == 0, started.err
        pid_file = qemu_home.paths.instance(name).pid_file
        return int(pid_file.read_text())

    return create


@pytest.fixture
def stopped():
    """``with stopped(pid):`` it is under SIGSTOP meanwhile."""

    @contextlib.contextmanager
    def hold(pid: int):
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    return hold
