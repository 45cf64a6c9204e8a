"""ports: free ones of the host."""

import socket

import pytest

from qemu_cli.errors import StateError, UsageError
from qemu_cli.instance.ports import choose


@pytest.mark.parametrize("udp", [False, True])
def test_a_port_is_free(udp: bool) -> None:
    kind = socket.SOCK_DGRAM if udp else socket.SOCK_STREAM
    port = choose("127.0.0.1", set(), udp=udp)
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", port))


def test_a_port_that_another_instance_has_is_not_chosen() -> None:
    assert choose("127.0.0.1", range(45000)) >= 45000


def test_when_all_are_taken() -> None:
    with pytest.raises(StateError, match="all ports"):
        choose("127.0.0.1", range(65536))


def test_an_address_that_the_host_does_not_have() -> None:
    # RFC 5737: for documentation only.
    with pytest.raises(UsageError, match=r"192\.0\.2\.1"):
        choose("192.0.2.1", set())
