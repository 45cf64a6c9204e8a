"""words: a command line and its parts, as QEMU reads them."""

import pytest

from qemu_cli.instance.capture.words import (
    Option,
    join,
    pairs,
    read,
    with_pairs,
)


def nothing(path: str) -> str | None:
    return None


def test_options_and_their_values() -> None:
    argv = ["qemu", "d.img", "-S", "--m", "1G", "-hda", "x", "-usb"]
    found = read(argv, nothing)
    assert [option.words for option in found] == [
        ("-hda", "d.img"),
        ("-S",),
        ("-m", "1G"),
        ("-hda", "x"),
        ("-usb",),
    ]
    assert [option.number for option in found] == [0, 1, 2, 3, 4]


def test_a_file_of_options() -> None:
    text = (
        '# incus\n[machine]\ntype = "q35"\naccel = "kvm"\n'
        '[smp-opts]\ncpus = "2"\n[memory]\nsize = "1024M"\n'
        '[device "d0"]\ndriver = "virtio-blk-pci"\ndrive = "a,b"\n'
    )
    found = read(["qemu", "-readconfig", "f", "-S"], {"f": text}.get)
    assert [option.text for option in found] == [
        "-machine type=q35,accel=kvm",
        "-smp cpus=2",
        "-m size=1024M",
        "-device id=d0,driver=virtio-blk-pci,drive=a,,b",
        "-S",
    ]
    assert [option.source for option in found] == ["f", "f", "f", "f", ""]
    [unread] = read(["qemu", "-readconfig", "f"], nothing)
    assert unread.words == ("-readconfig", "f")


@pytest.mark.parametrize(
    ("value", "first", "expected"),
    [
        ("q35,accel=kvm", "type", (("type", "q35"), ("accel", "kvm"))),
        ("file=a,,b,if=none", "", (("file", "a,b"), ("if", "none"))),
        ("file=a=b", "", (("file", "a=b"),)),
        ("server,nowait", "", (("server", "on"), ("wait", "off"))),
        ("type=1,,", "", (("type", "1,"),)),
        ("", "type", (("type", ""),)),
        ("", "", ()),
        ("{broken", "", (("{broken", "on"),)),
        (
            '{"driver":"qcow2","read-only":true,"file":{"a":1,"b":null},'
            '"list":["x"]}',
            "driver",
            (
                ("driver", "qcow2"),
                ("read-only", "on"),
                ("file.a", "1"),
                ("file.b", ""),
                ("list.0", "x"),
            ),
        ),
        ('json:{"driver":"raw"}', "", (("driver", "raw"),)),
        (
            "user,id=n,hostfwd=tcp::1-:1,hostfwd=tcp::2-:2",
            "type",
            (
                ("type", "user"),
                ("id", "n"),
                ("hostfwd", "tcp::1-:1"),
                ("hostfwd", "tcp::2-:2"),
            ),
        ),
    ],
)
def test_parts(
    value: str, first: str, expected: tuple[tuple[str, str], ...]
) -> None:
    assert pairs(value, first) == expected


def test_parts_become_a_value_again() -> None:
    assert join([("a", "x,y"), ("b", "1")]) == "a=x,,y,b=1"
    assert join([("driver", "e1000"), ("id", "n")], "driver") == "e1000,id=n"
    assert join([("id", "n"), ("driver", "e")], "driver") == "id=n,driver=e"
    assert join([("order", "a=b")], "order") == "order=a=b"


def test_more_is_said_in_the_same_syntax() -> None:
    plain = Option(0, "device", "e1000,netdev=n,addr=5")
    added = with_pairs(plain, [("bus", "pci.0"), ("addr", "0x5")])
    assert added == "e1000,netdev=n,bus=pci.0,addr=0x5"
    as_json = Option(0, "device", '{"driver":"e1000"}')
    assert with_pairs(as_json, [("bus", "b")]) == (
        '{"driver": "e1000", "bus": "b"}'
    )
