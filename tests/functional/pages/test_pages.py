"""Every page is a scenario: what its reader types is run, in this order.

What can't be run says why, in a comment beside it; see ``page.py``.
"""

from pathlib import Path

import pytest

from qemu_cli.testing.home import QemuHome
from qemu_cli.testing.plugin import TinyGuest
from tests.functional.pages import page, shell

ROOT = Path(__file__).parents[3]

PAGES = [
    ROOT / "README.md",
    *sorted(ROOT.glob("doc/tutorial/*.md")),
    *sorted(ROOT.glob("doc/howto/*.md")),
]
# What needs a plug-in is run by tests/together.
SCENARIOS = {
    path: lines
    for path in PAGES
    if (lines := [line for line in page.lines(path) if not line.needs])
    and any(line.why_not is None for line in lines)
}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SCENARIOS, ids=name)
def test_what_a_page_shows_happens(
    path: Path, qemu_home: QemuHome, tiny_guest: TinyGuest, short_dir: Path
) -> None:
    where = short_dir / "d"
    where.mkdir()
    wrong = shell.wrong(SCENARIOS[path], qemu_home, tiny_guest, where)
    assert not wrong, "\n".join(wrong)
