"""model: a definition as TOML and back, and everything that is wrong."""

import datetime
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from qemu_cli.errors import DefinitionError
from qemu_cli.instance import consistency, definitions, tables
from qemu_cli.instance.model import (
    Cdrom,
    Definition,
    Disk,
    Firmware,
    Forward,
    Kernel,
    Machine,
    Nic,
    Share,
)

MINIMAL = Definition(
    uuid="00000000-0000-0000-0000-000000000001",
    created="2026-01-01T00:00:00Z",
    profile="q35",
    arch="x86_64",
    machine=Machine(
        type="pc-q35-7.2",
        accel="tcg",
        cpu="max",
        cpus=1,
        max_cpus=8,
        memory_mib=1024,
    ),
)

FULL = msgspec.structs.replace(
    MINIMAL,
    firmware=Firmware(kind="uefi", code="/usr/share/code.fd"),
    boot=Kernel(kernel="/boot/vmlinuz", append="console=ttyS0 'quiet'"),
    disks=(
        Disk(id="disk0", file="d.qcow2", format="qcow2", bus="virtio",
             slot="rp0"),
        Disk(id="disk1", file="/abs,x.raw", format="raw", bus="scsi",
             slot="scsi0:0", cache="none", read_only=True),
    ),
    cdroms=(Cdrom(id="cdrom0", slot="sata:0"),),
    shares=(
        Share(id="share1", tag="a.b", directory="/srv/a, b", driver="9p",
              slot="rp5", read_only=True),
    ),
    nics=(
        Nic(
            id="net0",
            slot="rp1",
            mac="52:54:00:00:00:01",
            forwards=(
                Forward(host_port=2222, guest_port=22),
                Forward(host_port=2222, guest_port=53, protocol="udp"),
            ),
        ),
        Nic(id="net1", slot="rp2", mac="52:54:00:00:00:02",
            backend="bridge", bridge="br0"),
    ),
    display="vnc",
    tpm=True,
    qemu_args=("-d", "guest_errors"),
    plugin={"backup": {"when": datetime.date(2026, 1, 2), "keep": [1, 2.5]}},
    config={"shutdown": {"timeout": "2m"}},
)  # fmt: skip

text = st.text(st.characters(codec="utf-8"), max_size=20)
toml_values = st.recursive(
    st.one_of(
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False),
        text,
        st.dates(),
        st.times(),
        st.datetimes(),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(text, inner, max_size=3)
    ),
    max_leaves=5,
)


def parse(definition: dict[str, Any]) -> Definition:
    return definitions.parse(tomlkit.dumps(definition), source="x.toml")


@pytest.mark.parametrize("definition", [MINIMAL, FULL])
def test_what_is_written_is_read_again(definition: Definition) -> None:
    rendered = definitions.render(definition)
    assert definitions.parse(rendered, source="x") == definition
    assert "\nformat = 1\n" in rendered
    # Keys of the first table come before any other table begins.
    assert rendered.index("\narch = ") < rendered.index("\n[machine]")


@given(
    append=text,
    cpu=text,
    arguments=st.lists(text, max_size=3),
    plugin=st.dictionaries(
        text, st.dictionaries(text, toml_values, max_size=3), max_size=2
    ),
)
def test_any_text_and_any_plugin_data_survive(
    append: str,
    cpu: str,
    arguments: list[str],
    plugin: dict[str, dict[str, Any]],
) -> None:
    definition = msgspec.structs.replace(
        MINIMAL,
        machine=msgspec.structs.replace(MINIMAL.machine, cpu=cpu),
        boot=Kernel(kernel="/k", append=append),
        qemu_args=tuple(arguments),
        plugin=plugin,
    )
    again = definitions.parse(definitions.render(definition), source="x")
    assert again == definition


def test_all_forwards_of_all_nics() -> None:
    assert [f.guest_port for f in FULL.forwards] == [22, 53]


def changed(path: str, value: Any) -> dict[str, Any]:
    """The full definition with one value changed; None removes it."""
    raw = tomllib.loads(definitions.render(FULL))
    *way, last = (int(w) if w.isdigit() else w for w in path.split("."))
    inner: Any = raw
    for step in way:
        inner = inner[step]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return raw


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("machin", 1, "unknown key 'machin'; did you mean 'machine'?"),
        ("zzz", 1, "unknown key 'zzz'"),
        (
            "machine.memory",
            1,
            "unknown key 'memory' in [machine]; did you mean 'memory_mib'?",
        ),
        (
            "disks.1.buss",
            "x",
            "unknown key 'buss' in [disks[1]]; did you mean 'bus'?",
        ),
        (
            "nics.0.forwards.1.guest",
            1,
            "unknown key 'guest' in [nics[0].forwards[1]]; did you mean "
            "'guest_port'?",
        ),
        ("uuid", None, "'uuid' is missing"),
        ("machine.cpu", None, "'machine.cpu' is missing"),
        ("disks.0.file", None, "'disks[0].file' is missing"),
        ("machine.cpus", "two", "'machine.cpus': expected `int`, got `str`"),
        ("machine.cpus", 0, "'machine.cpus': expected `int` >= 1"),
        ("machine.cpus", True, "'machine.cpus': expected `int`, got `bool`"),
        ("machine.cpus", 9, "machine.max_cpus is less than machine.cpus"),
        ("machine.accel", "hax", "'machine.accel' is none of auto, kvm, tcg"),
        ("machine.max_memory_mib", 512, "max_memory_mib is less than"),
        ("machine", 7, "'machine': expected `object`, got `int`"),
        ("disks", {}, "'disks': expected `array`, got `object`"),
        (
            "disks.0.format",
            "luks",
            "'disks[0].format' is none of qcow2, raw, vmdk",
        ),
        ("disks.0.id", "1x", "'disks[0].id': expected `str` matching"),
        ("disks.0.id", "x" * 32, "'disks[0].id': expected `str` of length"),
        ("disks.0.id", "disk1", "the id 'disk1' is used twice"),
        ("disks.0.slot", "rp1", "the slot 'rp1' is used twice"),
        ("nics.0.mac", "52:54:00:00:00:02", "the MAC '52:54:00:00:00:02' is"),
        ("nics.0.mac", "52:54:00:00:00:0G", "'nics[0].mac': expected `str`"),
        (
            "nics.0.forwards.1.protocol",
            "tcp",
            "the host port 2222/tcp is forwarded twice",
        ),
        ("nics.0.forwards.0.host_port", 0, "host_port': expected `int` >= 1"),
        ("nics.0.forwards.0.host_address", "::1,x=y", "host_address'"),
        ("nics.1.bridge", "br0,script=/bin/sh", "'nics[1].bridge'"),
        ("nics.1.bridge", None, "the NIC net1 has backend bridge but names"),
        ("firmware.code", None, "firmware.code is missing"),
        ("display", "window", "'display' is none of none, vnc, gtk"),
        ("format", "1", "'format': expected `int`, got `str`"),
        ("format", 0, "'format': expected `int` >= 1"),
        ("format", True, "'format': expected `int`, got `bool`"),
        ("format", 2, "x.toml has format 2, this program knows 1"),
        ("plugin.backup", 3, "expected `object`, got `int`"),
    ],
)
def test_every_mistake_is_named(path: str, value: Any, message: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        parse(changed(path, value))
    assert message in str(caught.value)
    assert str(caught.value).startswith("x.toml")


def test_a_newer_format_is_told_before_its_unknown_keys() -> None:
    raw = {"format": 99, "shape": "of things to come"}
    with pytest.raises(DefinitionError, match="has format 99") as caught:
        parse(raw)
    assert "newer version" in str(caught.value.hint)


def test_what_is_no_toml_is_told_with_its_line() -> None:
    with pytest.raises(DefinitionError, match=r"not valid TOML.*line 2"):
        definitions.parse("a = 1\nb =\n", source="x.toml")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="is missing"):
        definitions.load(tmp_path / "instance.toml")
    with pytest.raises(DefinitionError, match="can't be read"):
        definitions.load(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\0")
    with pytest.raises(DefinitionError, match="can't be read"):
        definitions.load(tmp_path / "binary")
    (tmp_path / "good").write_text(definitions.render(FULL))
    assert definitions.load(tmp_path / "good") == FULL


@given(st.text(max_size=200))
def test_garbage_is_an_error_of_ours(garbage: str) -> None:
    with pytest.raises(DefinitionError):
        definitions.parse(garbage, source="x")


def test_places_of_microvm_devices_may_be_equal() -> None:
    nics = tuple(
        Nic(id=f"net{n}", slot="mmio", mac=f"52:54:00:00:00:0{n}")
        for n in range(2)
    )
    definition = msgspec.structs.replace(MINIMAL, nics=nics)
    assert consistency.inconsistencies(definition) == []


def test_known_keys_of_every_table() -> None:
    assert "machine" in tables.known_keys("")
    assert "cpus" in tables.known_keys("machine")
    assert "host_port" in tables.known_keys("nics[0].forwards[12]")
    assert tables.known_keys("plugin.x") == []
