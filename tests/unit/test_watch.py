"""Waiting for changes in a directory."""

import asyncio
import time
from pathlib import Path

import pytest

from qemu_cli.errors import QemuCliError
from qemu_cli.watch import watching


def changes(directory: Path, *deeds: object, timeout_s: float = 5.0) -> object:
    async def main() -> object:
        with watching(directory) as watch:
            for deed in deeds:
                asyncio.get_running_loop().call_later(0.05, deed)
            return await watch.changed(timeout_s)

    return asyncio.run(main())


def test_what_has_changed_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("x")
    begin = time.monotonic()
    assert changes(tmp_path, (tmp_path / "new").touch) == {"new"}
    assert changes(tmp_path, (tmp_path / "old").unlink) == {"old"}
    name = tmp_path / "new"
    assert changes(tmp_path, lambda: name.write_text("y")) == {"new"}
    found = changes(tmp_path, lambda: name.rename(tmp_path / "é"))
    assert found == {"new", "é"}
    assert time.monotonic() - begin < 4


def test_a_change_before_the_wait_is_not_missed(tmp_path: Path) -> None:
    async def main() -> object:
        with watching(tmp_path) as watch:
            (tmp_path / "a").touch()
            await asyncio.sleep(0.05)
            (tmp_path / "b").touch()
            return await watch.changed(5.0)

    assert asyncio.run(main()) == {"a", "b"}


def test_no_change_and_no_directory_are_nothing(tmp_path: Path) -> None:
    assert changes(tmp_path, timeout_s=0.05) == frozenset()
    inner = tmp_path / "inner"
    inner.mkdir()
    assert changes(inner, inner.rmdir) == frozenset()
    with pytest.raises(QemuCliError, match=r"inner can't be watched: No such"):
        changes(inner)
