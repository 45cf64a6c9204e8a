"""What the functional tests share: VMs of the tiny guest."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qemu_cli.testing.home import QemuHome, Result
from qemu_cli.testing.plugin import TinyGuest
from tests.functional.by_hand import Foreign

#: A boot takes 6 s under TCG on an idle machine.
BOOT_TIMEOUT_S = 120.0


@pytest.fixture
def create(
    qemu_home: QemuHome, tiny_guest: TinyGuest
) -> Callable[..., Result]:
    """Create an instance that boots the tiny guest: ``create(NAME, …)``."""

    def create_guest(name: str, *options: str) -> Result:
        result = qemu_home(
            *("create", name, "--kernel", tiny_guest.kernel),
            *("--initrd", tiny_guest.initrd, "--memory", "256M"),
            *("--append", "console=ttyS0 quiet", "--accel", "tcg"),
            *options,
        )
        assert result.rc == 0, result.err
        return result

    return create_guest


@pytest.fixture
def wait_for_guest(qemu_home: QemuHome) -> Callable[..., None]:
    """Wait until the guest has written a text to its serial port."""

    def wait(name: str, text: str = "GUEST-READY") -> None:
        log = qemu_home.paths.instance(name).serial_log
        end = time.monotonic() + BOOT_TIMEOUT_S
        while text not in (written := log.read_text(errors="replace")):
            assert time.monotonic() < end, f"no {text} in: {written}"
            time.sleep(0.1)

    return wait


@pytest.fixture
def foreign(short_dir: Path, qemu_home: QemuHome) -> Iterator[Foreign]:
    """Start QEMUs that are no instances: ``foreign.start(…) -> pid``."""
    started = Foreign(short_dir, qemu_home)
    yield started
    started.close()
