"""Every page is a scenario: what its reader types is run, in this order.

What can't be run says why, in a comment beside it; see ``page.py``.
"""

import shutil
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
SCENARIOS = [
    path
    for path in PAGES
    if any(line.why_not is None for line in page.lines(path))
]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SCENARIOS, ids=name)
def test_what_a_page_shows_happens(
    path: Path, qemu_home: QemuHome, tiny_guest: TinyGuest, short_dir: Path
) -> None:
    where = short_dir / "d"
    where.mkdir()
    for file in tiny_guest:
        shutil.copy(file, where)
    wrong = []
    for line, code, output in shell.run(
        [*page.lines(path)], qemu_home, tiny_guest, where
    ):
        said = f"$ {line.typed}\n{output}"
        if shell.fails(line) != bool(code):
            wrong.append(f"{said}exit code {code}")
        wrong += [f"{said}lacks: {t}" for t in shell.missing(line, output)]
    assert not wrong, "\n".join(wrong)
