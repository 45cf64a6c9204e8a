"""address: paths, abstract names, host and port."""

import socket

import pytest

from qemu_cli.errors import UsageError
from qemu_cli.qmp.address import parse, short_name


@pytest.mark.parametrize(
    ("address", "parsed"),
    [
        ("/run/a.sock", (socket.AF_UNIX, "/run/a.sock")),
        ("./a:1", (socket.AF_UNIX, "./a:1")),
        ("@name", (socket.AF_UNIX, "\0name")),
        ("localhost:4444", (socket.AF_INET, ("localhost", 4444))),
        (":4444", (socket.AF_INET, ("127.0.0.1", 4444))),
        ("[::1]:4444", (socket.AF_INET6, ("::1", 4444))),
    ],
)
def test_addresses(address, parsed):
    assert parse(address) == parsed


@pytest.mark.parametrize(
    "address", ["", "web", "a:b", "a:", "a:70000", "a:-1"]
)
def test_what_is_none(address):
    with pytest.raises(UsageError):
        parse(address)


def test_short_names():
    assert short_name("/run/web/control.sock") == "web/control"
    assert short_name("localhost:1") == "localhost:1"
