"""VMs without a guest, and what holds ports of the host."""

import contextlib
import socket
import tempfile
from pathlib import Path

import pytest

from qemu_cli.testing.home import QemuHome


@pytest.fixture(scope="module")
def home():
    """A home that the tests of a module share."""
    with tempfile.TemporaryDirectory(prefix="q-") as directory:
        home = QemuHome(Path(directory))
        yield home
        home.close()


class VM:
    """An instance, and ``qemu`` on it."""

    def __init__(self, home, name):
        self.home = home
        self.name = name
        self.paths = home.paths.instance(name)

    def run(self, command, *words):
        return self.home(*command.split(), self.name, *words)

    def ok(self, command, *words):
        result = self.run(command, *words)
        assert result.rc == 0, result.err
        return result

    def refused(self, code, command, *words):
        result = self.run(command, *words)
        assert result.rc == code, (result.rc, result.out, result.err)
        return result.err


@pytest.fixture(scope="module")
def named(home):
    """``named(NAME) -> VM``: one that is there already."""
    return lambda name: VM(home, name)


@pytest.fixture(scope="module")
def make(home):
    """``make(NAME, …) -> VM``; nothing boots in it."""

    def create(name, *options, nic="user", start=False):
        vm = VM(home, name)
        options = (*options, "--nic", nic, "--memory", "64M")
        vm.ok("create", "--accel", "tcg", *options)
        if start:
            vm.ok("start")
        return vm

    return create


@pytest.fixture
def listener():
    """A port that a program listens on: this one."""
    with contextlib.ExitStack() as stack:

        def listen(kind=socket.SOCK_STREAM, address="127.0.0.1"):
            one = stack.enter_context(socket.socket(socket.AF_INET, kind))
            one.bind((address, 0))
            if kind == socket.SOCK_STREAM:
                one.listen()
            return one.getsockname()[1]

        yield listen
