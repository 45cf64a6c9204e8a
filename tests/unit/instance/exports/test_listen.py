"""Who may come: addresses and keys."""

import socket
from pathlib import Path

import pytest

from qemu_cli.errors import NotFoundError, StateError, UsageError
from qemu_cli.instance.exports import listen
from qemu_cli.instance.exports.listen import Listener
from qemu_cli.instance.exports.model import Wanted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:10809", ("127.0.0.1", 10809)),
        (":0", ("127.0.0.1", 0)),
        ("[::1]:1", ("::1", 1)),
        ("host.example:65535", ("host.example", 65535)),
    ],
)
def test_an_address(text: str, expected: tuple[str, int]) -> None:
    assert listen.address(text) == expected


@pytest.mark.parametrize(
    "text", ["", "10809", "host", "host:", "::1:1", "h:65536", "h:-1", "h:x"]
)
def test_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="no address to listen on"):
        listen.address(text)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"]
)
def test_the_loopback(host: str) -> None:
    assert listen.is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "localhosts"])
def test_not_the_loopback(host: str) -> None:
    assert not listen.is_loopback(host)
    with pytest.raises(UsageError, match="without TLS"):
        listen.wish(Wanted(listen=f"[{host}]:0"))


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(StateError, match="already in use"):
            listen.free_port("127.0.0.1", port)
    assert listen.free_port("127.0.0.1", 0) > 0


def test_an_address_of_another_host() -> None:
    with pytest.raises(UsageError, match="no address of this host"):
        listen.free_port("192.0.2.1", 0)


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(tls_psk="/k"),
        Wanted(tls_x509="/d"),
        Wanted(max_connections=1),
    ],
)
def test_what_makes_no_sense_without_an_address(wanted: Wanted) -> None:
    with pytest.raises(UsageError, match="without --listen"):
        listen.wish(wanted)


def test_nobody_listens_unless_told_to() -> None:
    assert listen.wish(Wanted()) is None


def test_only_one_kind_of_keys() -> None:
    wanted = Wanted(listen=":0", tls_psk="/k", tls_x509="/d")
    with pytest.raises(UsageError, match="not both"):
        listen.wish(wanted)


def test_bitmaps_do_not_come_through() -> None:
    with pytest.raises(UsageError, match="--bitmap"):
        listen.wish(Wanted(listen=":0", bitmap="b"))


def test_whose_key_comes_first(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("\n# comment\nalice:00ff\nbob:aa\n")
    assert listen.first_user(file) == "alice"
    file.write_text("alice 00ff\n")
    with pytest.raises(UsageError, match="USER:KEY"):
        listen.first_user(file)
    with pytest.raises(NotFoundError, match="no file of keys"):
        listen.first_user(tmp_path / "none")


def test_a_certificate_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "ca-cert.pem").touch()
    with pytest.raises(NotFoundError, match=r"has no server-cert\.pem"):
        listen.check_certificates(tmp_path)


def test_uris() -> None:
    plain = Listener("127.0.0.1", 10809)
    assert plain.uri("a b/c") == "nbd://127.0.0.1:10809/a%20b%2Fc"
    six = plain._replace(host="::1", x509="/d")
    assert six.uri("disk0") == "nbds://[::1]:10809/disk0"
    keys = plain._replace(psk="/k e/y", user="al@ice")
    assert keys.uri("disk0") == (
        "nbds://al%40ice@127.0.0.1:10809/disk0?tls-psk-file=/k%20e/y"
    )


def test_an_address_that_means_all_is_not_printed() -> None:
    every = Listener("0.0.0.0", 1, x509="/d")
    assert every.uri("disk0") == f"nbds://{socket.gethostname()}:1/disk0"
