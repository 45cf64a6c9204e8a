"""Fixtures for our tests and those of plug-in authors (pytest11).

===============  =====================================================
``short_dir``    a directory whose path leaves room for socket names
``fake_qmp``     starts scripted QMP servers
``fake_agent``   starts scripted guest agents
``real_qemu``    starts real QEMUs, which end with the test
``qemu_home``    runs the ``qemu`` executable with a home of its own
``tiny_guest``   a kernel and an initrd that boot in seconds
===============  =====================================================

pytest imports this module at each run: everything else comes later.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from qemu_cli.testing.fake_qmp import FakeAgent, FakeQmp
    from qemu_cli.testing.home import QemuHome
    from qemu_cli.testing.real_qemu import RealQemu


class TinyGuest(NamedTuple):
    """A Linux that prints GUEST-READY on ttyS0, with a guest agent."""

    kernel: Path
    initrd: Path


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """Make a directory for sockets: ``tmp_path`` may be too long."""
    directory = Path(tempfile.mkdtemp(prefix="q-"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def fake_qmp(short_dir: Path) -> "Iterator[Callable[..., FakeQmp]]":
    """Start fake QMP servers: ``fake_qmp(greeting=…) -> FakeQmp``."""
    from qemu_cli.testing.fake_qmp import GREETING, FakeQmp

    with ExitStack() as stack:
        count = 0

        def start(*, greeting: bytes | None = GREETING) -> FakeQmp:
            nonlocal count
            count += 1
            fake = FakeQmp(short_dir / f"fake{count}", greeting=greeting)
            return stack.enter_context(fake)

        yield start


@pytest.fixture
def fake_agent(short_dir: Path) -> "Iterator[Callable[..., FakeAgent]]":
    """Start fake guest agents: ``fake_agent(leftovers=…) -> FakeAgent``."""
    from qemu_cli.testing.fake_qmp import FakeAgent

    with ExitStack() as stack:

        def start(*, leftovers: bytes = b"") -> FakeAgent:
            agent = FakeAgent(short_dir / "agent", leftovers=leftovers)
            return stack.enter_context(agent)

        yield start


@pytest.fixture
def real_qemu(short_dir: Path) -> "Iterator[Callable[..., RealQemu]]":
    """Start QEMUs: ``real_qemu(*args, monitors=1) -> RealQemu``."""
    from qemu_cli.testing.real_qemu import RealQemu

    with ExitStack() as stack:
        count = 0

        def start(*args: str, monitors: int = 1) -> RealQemu:
            nonlocal count
            count += 1
            directory = short_dir / f"vm{count}"
            directory.mkdir()
            qemu = RealQemu(directory, *args, monitors=monitors)
            stack.enter_context(qemu)
            qemu.wait_ready()
            return qemu

        yield start


@pytest.fixture
def qemu_home(short_dir: Path) -> "Iterator[QemuHome]":
    """Run ``qemu`` by calling this; ends what was started with it."""
    from qemu_cli.testing.home import QemuHome

    home = QemuHome(short_dir / "h")
    yield home
    home.close()


@pytest.fixture(scope="session")
def tiny_guest() -> TinyGuest:
    """Find the guest that ``make guest`` built; missing is a failure."""
    directory = Path(os.environ.get("QEMU_CLI_TEST_GUEST", "build/guest"))
    guest = TinyGuest(directory / "vmlinuz", directory / "initrd.gz")
    for file in guest:
        if not file.is_file():
            pytest.fail(f"no test guest: {file} is missing ('make guest')")
    return guest
