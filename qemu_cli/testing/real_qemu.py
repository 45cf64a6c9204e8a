"""A real QEMU, small and fast, that never outlives its test."""

import os
import subprocess
import time
from pathlib import Path
from typing import Self

from qemu_cli.qmp.address import Monitors
from qemu_cli.qmp.probe import Target, probe

#: `-machine none` is up in 50 ms; machines under load are slower.
START_TIMEOUT_S = 60.0


def binary(arch: str = "x86_64") -> str:
    """Name the QEMU to test with.

    ``QEMU_CLI_TEST_QEMU`` names another one than that on PATH.
    """
    if arch == "x86_64" and (chosen := os.environ.get("QEMU_CLI_TEST_QEMU")):
        return chosen
    return f"qemu-system-{arch}"


class RealQemu:
    """A QEMU with some monitors; use it as a context manager.

    :param directory: for its sockets and its log; its path must be short
    :param args: its arguments; no machine at all by default
    :param monitors: how many: control, probe, followers, in this order
    """

    def __init__(self, directory: Path, *args: str, monitors: int = 1) -> None:
        self.addresses = [
            str(directory / f"qmp{number}.sock") for number in range(monitors)
        ]
        self._log = directory / "qemu.log"
        self.argv = [binary(), "-display", "none", "-nodefaults"]
        self.argv += args or ("-machine", "none")
        for number, address in enumerate(self.addresses):
            self.argv += [
                "-chardev",
                f"socket,id=m{number},path={address},server=on,wait=off",
                "-mon",
                f"chardev=m{number},mode=control",
            ]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.pid = self.process.pid
        self.monitors = Monitors(
            control=self.addresses[0],
            probe=self.addresses[1] if monitors > 1 else None,
            followers=tuple(self.addresses[2:]),
            lock=str(directory / "control.lock"),
            pid=self.pid,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.kill()
        self.process.wait()

    def wait_ready(self) -> None:
        """Return when it answers on its last monitor.

        :raise RuntimeError: it ended instead; the text is its own
        """
        deadline = time.monotonic() + START_TIMEOUT_S
        target = Target(self.addresses[-1], self.pid)
        while probe([target])[0].reach != "free":
            if self.process.poll() is not None:
                raise RuntimeError(self._log.read_text())
            if time.monotonic() > deadline:
                raise RuntimeError("QEMU does not answer")
            time.sleep(0.02)
