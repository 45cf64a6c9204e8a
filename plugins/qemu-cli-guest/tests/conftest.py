"""Guests that boot, and ``qemu`` to reach them."""

import asyncio
import contextlib
import os
import secrets
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from qemu_cli.qmp.address import Monitors
from qemu_cli.qmp.sessions import Sessions
from qemu_cli.testing.home import QemuHome

TIMEOUT_S = 60.0


def pytest_configure(config):
    config.addinivalue_line("markers", "boots: a guest is booted for it")


def pytest_collection_modifyitems(items):
    for item in items:
        if "boot" in item.fixturenames:
            item.add_marker("boots")


class Guest:
    """A guest that runs, and ``qemu`` to reach it."""

    def __init__(self, home, name):
        self.home = home
        self.name = name
        self.paths = home.paths.instance(name)

    def start(self):
        """Start it, and wait for its agent and its shell."""
        ok(self.home("start", self.name))
        ok(self.home("wait", self.name, "--for", "agent"))
        ok(self.home("wait", self.name, "--for", "console:guest#"))

    def qemu(self, *words, stdin=b"", timeout_s=3 * TIMEOUT_S):
        """Run ``qemu``; what goes in and out are bytes."""
        return subprocess.run(
            [self.home.executable, *words],
            input=stdin,
            capture_output=True,
            env=self.home.environment,
            timeout=timeout_s,
        )

    def exec(self, *argv, options=(), stdin=b""):
        """``qemu exec``."""
        words = ("exec", self.name, *options, "--", *argv)
        return self.qemu(*words, stdin=stdin)

    def sh(self, line):
        """What a shell in the guest says to a line; it must not fail."""
        done = self.exec("sh", "-c", line)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode().strip()

    def console(self, line):
        """Type a line at the serial port: past the agent; what it says."""
        mark = secrets.token_hex(4)
        with self.begin(
            "console", self.name, stdin=subprocess.PIPE
        ) as process:
            typed = f"{line}\necho {mark[:4]}''{mark[4:]}\n"
            process.stdin.write(typed.encode())
            process.stdin.flush()
            said = b""
            while mark.encode() not in said:
                block = os.read(process.stdout.fileno(), 4096)
                assert block, said
                said += block
            process.terminate()
        return said.decode().replace("\r", "")

    def begin(self, *words, **options):
        """Start ``qemu``, and leave it to the test."""
        return subprocess.Popen(
            [self.home.executable, *words],
            env=self.home.environment,
            stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **options,
        )

    def interrupt(self, process):
        """Ctrl-C; how it ends."""
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=TIMEOUT_S)
        return process.returncode, out, err

    def agent(self, work):
        """Talk to the agent as another program would."""

        async def main():
            address = Monitors(agent=str(self.paths.agent_socket))
            async with Sessions().agent(address, timeout_s=30) as agent:
                return await work(agent)

        return asyncio.run(main())

    def until(self, condition, what=""):
        """Wait until something is true."""
        end = time.monotonic() + TIMEOUT_S
        while not (found := condition()):
            assert time.monotonic() < end, what
            time.sleep(0.05)
        return found

    def runs(self, words):
        """Whether the guest has such a process; asked past the agent."""
        line = f"ps | grep -c '[{words[0]}]{words[1:]}'"
        return "\n0\n" not in self.console(line)

    @contextlib.contextmanager
    def stopped_agent(self):
        """The agent hangs: it is under SIGSTOP in the guest."""
        self.console("kill -STOP $(pidof qemu-ga)")
        try:
            yield
        finally:
            self.console("kill -CONT $(pidof qemu-ga)")


@pytest.fixture(scope="session")
def boot(guest_home, tiny_guest):
    """``boot(NAME, …) -> Guest``: its agent answers, /mnt is an ext4."""

    home = guest_home

    def boot(name, *options, append="", start=True):
        guest = Guest(home, name)
        create = ("create", name, "--kernel", tiny_guest.kernel)
        create += ("--initrd", tiny_guest.initrd, "--accel", "tcg")
        create += ("--append", f"console=ttyS0 quiet {append}")
        # An option that is given twice counts as it was given last.
        ok(home(*create, "--disk", "32M", *options))
        disk = guest.paths.directory / "disk0.qcow2"
        raw = disk.with_suffix(".raw")
        with raw.open("wb") as stream:
            stream.truncate(32 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", raw], check=True)
        convert = ("qemu-img", "convert", "-f", "raw", "-O", "qcow2")
        subprocess.run([*convert, raw, disk], check=True)
        raw.unlink()
        if start:
            guest.start()
        return guest

    return boot


def ok(result):
    """It must not have failed."""
    assert result.rc == 0, result.err


@pytest.fixture(scope="session")
def guest_home():
    with tempfile.TemporaryDirectory(prefix="q-") as directory:
        home = QemuHome(Path(directory))
        yield home
        home.close()
