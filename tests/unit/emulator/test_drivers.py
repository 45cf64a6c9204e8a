"""What a QEMU says of its devices, and what is checked by it."""

import pytest

from qemu_cli.emulator.drivers import Property, check, parse
from qemu_cli.errors import UsageError

HELP = """\
Storage devices:
name "nvme", bus PCI, desc "Non-Volatile Memory Express"
name "nvdimm", desc "DIMM memory module"

Network devices:
name "e1000", bus PCI, alias "e1000-82540em", desc "Intel, "Gigabit""

CPU devices:
name "qemu64-x86_64-cpu"
name "secret", bus PCI, no-user
"""


def test_the_list_of_devices() -> None:
    drivers = parse(HELP, "x86_64")
    nvme = drivers.find("nvme")
    assert nvme == ("nvme", "PCI", "Storage", "Non-Volatile Memory Express")
    assert drivers.find("nvdimm").bus == ""
    assert drivers.find("e1000-82540em").name == "e1000"
    assert drivers.find("qemu64-x86_64-cpu").category == "CPU"
    with pytest.raises(UsageError, match="no device 'nvem'") as caught:
        drivers.find("nvem")
    assert caught.value.hint == "did you mean nvme or nvdimm?"
    with pytest.raises(UsageError):
        drivers.find("secret")


KNOWN = {
    name: Property(name, kind)
    for name, kind in {
        "addr": "int32",
        "ats": "bool",
        "block": "size",
        "legacy": "OnOffAuto",
        "mac": "str",
        "x-secret": "str",
    }.items()
}


def test_properties_get_the_types_that_qemu_has() -> None:
    given = {"addr": "4", "ats": "yes", "legacy": "auto", "mac": "12"}
    assert check("d", given, KNOWN) == {
        "addr": 4,
        "ats": True,
        "legacy": "auto",
        "mac": "12",
    }


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("addr", "0x1f", 31),
        ("addr", "-1", -1),
        ("addr", "010", 8),  # as for C, and QEMU
        ("addr", "0", 0),
        ("block", "4k", 4096),
        ("block", "512", 512),
        ("block", "1.5k", "1.5k"),  # QEMU takes it at a start
    ],
)
def test_numbers_are_read_as_qemu_does(
    key: str, text: str, value: int | str
) -> None:
    assert check("d", {key: text}, KNOWN) == {key: value}


@pytest.mark.parametrize(
    ("given", "words", "hint"),
    [
        ({"addr": "x"}, "addr is a number", None),
        ({"addr": "1k"}, "addr is a number", None),
        ({"ats": "2"}, "ats is on or off", None),
        ({"legacy": "yes"}, "legacy is on, off or auto", None),
        ({"adr": "2"}, "d has no property 'adr'", "did you mean addr?"),
        ({"q": "2"}, "d has no", "it has addr, ats, block, legacy, mac"),
    ],
)
def test_what_is_wrong_is_named(
    given: dict[str, str], words: str, hint: str | None
) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        check("d", given, KNOWN)
    assert caught.value.hint == hint
