"""schema: the real one, and its cache."""

import asyncio
import shutil
from pathlib import Path

import pytest

from qemu_cli.qmp.schema import load
from qemu_cli.qmp.sessions import Sessions
from qemu_cli.testing.real_qemu import binary


@pytest.fixture
def executable():
    return Path(shutil.which(binary()))


def ask(qemu, executable, cache):
    async def main():
        async with Sessions().open(qemu.monitors) as session:
            return await load(session, executable, cache)

    return asyncio.run(main())


def test_what_a_qemu_can_do(real_qemu, executable, tmp_path):
    qemu = real_qemu()
    schema = ask(qemu, executable, tmp_path)
    commands = asyncio.run(every_command(qemu))
    assert all(schema.has_command(name) for name in commands)
    assert not schema.has_command("STOP")
    assert not schema.has_command("nosuch")
    assert schema.has_event("SHUTDOWN")
    assert not schema.has_event("query-status")
    # A plain argument, one of a variant, one deeper down.
    assert schema.has_argument("nbd-server-start", "max-connections")
    assert schema.has_argument("blockdev-add", "on-cbw-error")
    assert schema.has_argument("blockdev-create", "options", "preallocation")
    assert schema.has_argument("transaction", "actions", "type")
    assert not schema.has_argument("nbd-server-start", "nosuch")
    assert not schema.has_argument("nosuch", "max-connections")
    assert schema.has_value("threads", "blockdev-add", "aio")
    assert not schema.has_value("nosuch", "blockdev-add", "aio")
    assert "deprecated" in schema.features("drive-backup")
    assert schema.features("query-status") == frozenset()


async def every_command(qemu):
    async with Sessions().open(qemu.monitors) as session:
        return [one["name"] for one in await session.execute("query-commands")]


def test_new_in_10_by_ability_and_not_by_number(
    real_qemu, executable, tmp_path
):
    qemu = real_qemu()
    schema = ask(qemu, executable, tmp_path)
    # They came with the same release: what tells one tells the other.
    handshake = schema.has_argument(
        "nbd-server-start", "handshake-max-seconds"
    )
    file = schema.has_value("file", "migrate", "channels", "addr", "transport")
    assert handshake == file == schema.has_command("request-ebpf")


def test_the_cache(real_qemu, tmp_path):
    """Nobody is asked twice, and nothing damaged is believed."""
    qemu = real_qemu()
    upgraded = tmp_path / "qemu"
    upgraded.write_bytes(b"old")
    cache = tmp_path / "made" / "by" / "load"
    ask(qemu, upgraded, cache)
    [file] = cache.iterdir()
    good = file.read_bytes()
    for damage in (b"", b"{", b"[]", good[:1000]):
        file.write_bytes(damage)
        assert ask(qemu, upgraded, cache).has_command("stop")
        assert file.read_bytes() == good
    upgraded.write_bytes(b"newer")
    ask(qemu, upgraded, cache)
    assert len(list(cache.iterdir())) == 2
    qemu.process.kill()
    qemu.process.wait()
    assert ask(qemu, upgraded, cache).has_command("stop")


def test_a_cache_that_cannot_be_written(real_qemu, executable, tmp_path):
    (tmp_path / "file").touch()
    schema = ask(real_qemu(), executable, tmp_path / "file" / "cache")
    assert schema.has_command("stop")
