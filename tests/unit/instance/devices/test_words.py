"""The words of a machine that devices came to and went from."""

from qemu_cli.instance.devices.words import with_plugged

START = [
    *("-nodefaults", "-smp", "1,maxcpus=4", "-append", "-device"),
    *("-netdev", "user,id=net0", "-device", "nic,netdev=net0,id=net0"),
    *("-device", "rng,id=rng0", "-device", "anonymous"),
    *("-object", "rng-random,id=source,filename=/dev/urandom"),
]


def test_nothing_has_changed() -> None:
    ids = frozenset({"net0", "rng0"})
    assert with_plugged(START, START, ids) == START


def test_what_has_gone_is_not_there_nor_is_its_back_end() -> None:
    words = with_plugged(START, [], frozenset({"rng0"}))
    assert "rng,id=rng0" in words and "anonymous" in words
    assert not any("net0" in word for word in words)
    assert "rng-random,id=source,filename=/dev/urandom" in words


def test_what_has_come_is_as_the_definition_says() -> None:
    came = [
        *("-object", "memory-backend-ram,id=mem-dimm0,size=128M"),
        *("-device", "pc-dimm,id=dimm0,memdev=mem-dimm0"),
        *("-device", "waits,id=later"),
    ]
    ids = frozenset({"net0", "rng0", "dimm0"})
    words = with_plugged(START, [*START, *came], ids)
    assert words == [
        *START,
        *came[:4],
    ]
