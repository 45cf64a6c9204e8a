"""facts: what a command line says, and the cache of definitions."""

import json
import os
from pathlib import Path

import pytest

from qemu_cli.errors import DefinitionError
from qemu_cli.instance.facts import Cache, Facts, Forward, from_argv

DEFINITION = """\
format = 1
uuid = "00000000-0000-0000-0000-000000000001"
created = "2026-01-01T00:00:00Z"
profile = "q35"
arch = "x86_64"

[machine]
type = "pc-q35-7.2"
accel = "tcg"
cpu = "max"
cpus = 2
max_cpus = 8
memory_mib = {memory}

[[nics]]
id = "net0"
slot = "rp0"
mac = "52:54:00:00:00:01"

[[nics.forwards]]
host_port = 2222
guest_port = 22
"""


@pytest.mark.parametrize(
    ("value", "memory_mib"),
    [
        ("512", 512),
        ("512M", 512),
        ("2G", 2048),
        ("2g", 2048),
        ("1.5G", 1536),
        ("2048K", 2),
        ("1073741824B", 1024),
        ("1T", 1 << 20),
        ("size=1G,slots=8,maxmem=16G", 1024),
        ("1G,slots=8", 1024),
        ("slots=8,maxmem=16G,size=1G", 1024),
        ("maxmem=4G", None),
        ("", None),
        ("much", None),
    ],
)
def test_memory(value: str, memory_mib: int | None) -> None:
    assert from_argv(["qemu-system-x86_64", "-m", value]).memory_mib == (
        memory_mib
    )


@pytest.mark.parametrize(
    ("value", "cpus"),
    [
        ("4", 4),
        ("cpus=4", 4),
        ("2,maxcpus=8", 2),
        ("maxcpus=8,cpus=2", 2),
        ("maxcpus=8", 8),
        ("sockets=2,cores=3,threads=2", 12),
        ("sockets=2,cores=3,cpus=5", 5),
        ("many", 1),
    ],
)
def test_cpus(value: str, cpus: int) -> None:
    assert from_argv(["qemu-system-x86_64", "-smp", value]).cpus == cpus


@pytest.mark.parametrize(
    ("words", "machine", "accel"),
    [
        (["-machine", "q35,accel=tcg"], "q35", "tcg"),
        (["-M", "type=pc,accel=kvm"], "pc", "kvm"),
        (["--machine", "accel=kvm,type=virt"], "virt", "kvm"),
        (["-machine", "accel=kvm"], None, "kvm"),
        (["-M", "q35", "-accel", "tcg,thread=multi"], "q35", "tcg"),
        (["-M", "q35", "-accel", "accel=kvm"], "q35", "kvm"),
        (["-M", "q35", "-enable-kvm"], "q35", "kvm"),
        (["-machine"], "", None),
        ([], None, None),
    ],
)
def test_machine_and_accelerator(
    words: list[str], machine: str | None, accel: str | None
) -> None:
    facts = from_argv(["qemu-system-x86_64", *words])
    assert (facts.machine, facts.accel) == (machine, accel)


@pytest.mark.parametrize(
    ("program", "arch"),
    [
        ("qemu-system-x86_64", "x86_64"),
        ("/opt/qemu/bin/qemu-system-aarch64", "aarch64"),
        ("/usr/libexec/qemu-kvm", None),
        ("kvm", None),
    ],
)
def test_architecture(program: str, arch: str | None) -> None:
    assert from_argv([program]).arch == arch


def test_no_command_line_at_all() -> None:
    assert from_argv([]) == Facts(cpus=1)


@pytest.mark.parametrize(
    ("option", "value", "forwards"),
    [
        (
            "-netdev",
            "user,id=n,hostfwd=tcp:127.0.0.1:2222-:22,"
            "hostfwd=udp::53-10.0.2.15:5353",
            [
                Forward("127.0.0.1", 2222, 22, "tcp"),
                Forward("0.0.0.0", 53, 5353, "udp"),
            ],
        ),
        ("-nic", "user,hostfwd=::80-:8080", [("0.0.0.0", 80, 8080, "tcp")]),
        ("-net", "user,hostfwd=tcp::1-:2", [("0.0.0.0", 1, 2, "tcp")]),
        ("-netdev", "user,id=n", []),
        ("-netdev", "tap,id=n,fd=3", []),
        ("-append", "hostfwd=tcp::1-:2", []),
    ],
)
def test_forwards(option: str, value: str, forwards: list[Forward]) -> None:
    facts = from_argv(["qemu-system-x86_64", option, value])
    assert list(facts.forwards) == forwards


@pytest.fixture
def definition(tmp_path: Path) -> Path:
    path = tmp_path / "instance.toml"
    path.write_text(DEFINITION.format(memory=512))
    return path


@pytest.fixture
def cache_file(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "definitions.json"


EXPECTED = Facts(
    "x86_64",
    "pc-q35-7.2",
    "tcg",
    2,
    512,
    (Forward("127.0.0.1", 2222, 22, "tcp"),),
)


def remember(cache_file: Path, *definitions: Path) -> None:
    cache = Cache(cache_file)
    for each in definitions:
        cache.facts(each)
    cache.save({str(each): None for each in definitions})


def test_what_is_cached_is_not_parsed_again(
    definition: Path, cache_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(cache_file, definition)

    def forbidden(path: Path) -> Facts:
        raise AssertionError(f"{path} was parsed")

    monkeypatch.setattr(Cache, "_parse", staticmethod(forbidden))
    assert Cache(cache_file).facts(definition) == EXPECTED


def test_a_definition_that_has_changed_is_parsed_again(
    definition: Path, cache_file: Path
) -> None:
    remember(cache_file, definition)
    # The same size, and the same time: only the file is another one.
    times = definition.stat().st_atime_ns, definition.stat().st_mtime_ns
    new = definition.with_suffix(".new")
    new.write_text(DEFINITION.format(memory=256))
    os.utime(new, ns=times)
    new.replace(definition)
    assert Cache(cache_file).facts(definition).memory_mib == 256


def test_definitions_that_are_gone_are_forgotten(
    definition: Path, cache_file: Path
) -> None:
    other = definition.with_name("other.toml")
    other.write_text(definition.read_text())
    remember(cache_file, definition, other)
    cache = Cache(cache_file)
    other.write_text(DEFINITION.format(memory=1024))
    cache.facts(other)
    cache.save({str(other): None})
    assert list(json.loads(cache_file.read_text())) == [str(other)]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"[]",
        b"7",
        b'{"%s": 7}',
        b'{"%s": []}',
        b'{"%s": [%s, []]}',
        b'{"%s": [%s, ["x86_64"]]}',
        b'{"%s": [%s, ["x86_64", "q35", "tcg", 1, 2, 3, []]]}',
        b'{"%s": [%s, ["x86_64", "q35", "tcg", 1, 2, 7]]}',
        b'{"%s": [%s, ["x86_64", "q35", "tcg", 1, 2, [[1]]]]}',
        b'{"%s": [%s, null]}',
    ],
)
def test_a_damaged_cache_costs_time_only(
    definition: Path, cache_file: Path, content: bytes
) -> None:
    status = definition.stat()
    key = [status.st_mtime_ns, status.st_size, status.st_ino]
    content = content.replace(b"%s", os.fsencode(definition), 1)
    content = content.replace(b"%s", json.dumps(key).encode(), 1)
    cache_file.parent.mkdir()
    cache_file.write_bytes(content)
    assert Cache(cache_file).facts(definition) == EXPECTED
    remember(cache_file, definition)
    assert str(definition) in json.loads(cache_file.read_text())


def test_a_cache_that_cannot_be_written_does_no_harm(
    definition: Path, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    remember(blocked / "definitions.json", definition)
    assert blocked.read_text() == ""


def test_a_cache_on_a_full_disk_does_no_harm(
    definition: Path, cache_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, text: str) -> None:
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    remember(cache_file, definition)
    assert list(cache_file.parent.iterdir()) == []


def test_a_broken_definition_is_an_error_and_not_cached(
    definition: Path, cache_file: Path
) -> None:
    definition.write_text("nonsense")
    with pytest.raises(DefinitionError):
        Cache(cache_file).facts(definition)
    definition.unlink()
    with pytest.raises(DefinitionError, match="is missing"):
        Cache(cache_file).facts(definition)
    assert not cache_file.exists()
