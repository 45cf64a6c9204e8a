"""Where a VM's screen is, by its command line."""

import pytest

from qemu_cli.instance.discovery.screens import screen


@pytest.mark.parametrize(
    ("words", "uri"),
    [
        ("-vnc unix:/s/vnc,password=on", "vnc+unix:///s/vnc"),
        ("-vnc unix:rel", "vnc+unix://rel"),
        ("-vnc :1", "vnc://localhost:5901"),
        ("-vnc 0.0.0.0:0", "vnc://localhost:5900"),
        ("-display vnc=127.0.0.1:7,share=ignore", "vnc://127.0.0.1:5907"),
        ("-vnc none", None),
        ("-display gtk", None),
        (
            "-m 64 -spice port=5930,disable-ticketing=on",
            "spice://localhost:5930",
        ),
        ("-spice unix=on,addr=/s/spice", "spice+unix:///s/spice"),
        ("-spice port=5930,addr=::1", "spice://[::1]:5930"),
        ("-nographic", None),
    ],
)
def test_where_a_screen_is(words: str, uri: str | None) -> None:
    assert screen(["qemu-system-x86_64", *words.split()]) == uri
