"""Pages about plug-ins: run where all of them are installed."""

from importlib.metadata import version
from pathlib import Path

import pytest

from qemu_cli.testing.home import QemuHome
from qemu_cli.testing.plugin import TinyGuest
from tests.functional.pages import page, shell

HOWTO = Path(__file__).parents[2] / "doc" / "howto"
PAGES = [path for path in sorted(HOWTO.glob("*.md")) if page.needs(path)]


def test_there_are_some() -> None:
    assert PAGES


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.name))
def test_what_a_page_shows_happens(
    path: Path, qemu_home: QemuHome, tiny_guest: TinyGuest, short_dir: Path
) -> None:
    assert version(page.needs(path) or "")
    where = short_dir / "d"
    where.mkdir()
    wrong = shell.wrong([*page.lines(path)], qemu_home, tiny_guest, where)
    assert not wrong, "\n".join(wrong)
