"""Pages about plug-ins: run where all of them are installed."""

from importlib.metadata import version
from pathlib import Path

import pytest

from qemu_cli.testing.home import QemuHome
from qemu_cli.testing.plugin import TinyGuest
from tests.functional.pages import page, shell

ROOT = Path(__file__).parents[2]
SCENARIOS = {
    path: lines
    for path in [ROOT / "README.md", *sorted(ROOT.glob("doc/howto/*.md"))]
    if (lines := [*page.lines(path)]) and any(line.needs for line in lines)
}


def test_there_are_some() -> None:
    assert SCENARIOS


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: str(path.name))
def test_what_a_page_shows_happens(
    path: Path, qemu_home: QemuHome, tiny_guest: TinyGuest, short_dir: Path
) -> None:
    for line in SCENARIOS[path]:
        assert not line.needs or version(line.needs)
    where = short_dir / "d"
    where.mkdir()
    wrong = shell.wrong(SCENARIOS[path], qemu_home, tiny_guest, where)
    assert not wrong, "\n".join(wrong)
