"""What the tests of QMP share."""

import os

import pytest

from qemu_cli.qmp.address import Monitors


@pytest.fixture
def fake(fake_qmp):
    fake = fake_qmp()
    fake.on("query-status", {"status": "running"})
    return fake


@pytest.fixture
def monitors(fake):
    return Monitors(control=fake.path, pid=os.getpid())


@pytest.fixture
def four(fake_qmp, short_dir):
    """A VM of ours: control and two followers, each a fake."""
    control, one, two = fakes = [fake_qmp() for _ in range(3)]
    for fake in fakes:
        fake.on("query-status", {"status": "running"})
    return fakes, Monitors(
        control=control.path,
        followers=(one.path, two.path),
        lock=str(short_dir / "lock"),
        pid=os.getpid(),
    )
