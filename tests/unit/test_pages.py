"""How pages are read; what is read is run by tests/functional/pages."""

from pathlib import Path

import pytest

from tests.functional.pages.page import Line, lines, same

PAGE = """
Text.

<!-- first: image a.qcow2 -->
<!-- first (ssh): true -->
<!-- not run (ssh): it needs
     a key -->
```console
$ qemu create web \\
    --image a.qcow2
name: web
$ ssh host
```

<!-- not run: no terminal -->
```sh
qemu console web
qemu list
```

```console
$ qemu list
```

<!-- needs: qemu-cli-foo -->
<!-- first: true -->
```sh
qemu foo
```

```sh
qemu version
```
"""


def test_a_page_is_read_in_order(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert [*lines(page)] == [
        Line("image a.qcow2", hidden=True),
        Line("qemu create web \\\n    --image a.qcow2", ("name: web",)),
        Line("true", hidden=True),
        Line("ssh host", why_not="it needs a key"),
        Line("qemu console web\nqemu list\n", why_not="no terminal"),
        Line("qemu list"),
        Line("true", hidden=True, needs="qemu-cli-foo"),
        Line("qemu foo\n", needs="qemu-cli-foo"),
        Line("qemu version\n"),
    ]


def test_a_whole_page_needs_a_plug_in(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"<!-- needs: qemu-cli-foo -->\n{PAGE}")
    assert {line.needs for line in lines(page)} == {"qemu-cli-foo"}


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("web: started (pid 31259)", "web: started (pid 7)"),
        ("web   running   1  256.0 MiB   190ms", "web  running 1 1.0 GiB 2s"),
        (
            "directory: /home/ada/.x/instances/web",
            "directory: /h/instances/web",
        ),
        (
            "2026-11-22 10:25:56  start  ada",
            "2027-01-01 00:00:00  start  root",
        ),
    ],
)
def test_what_differs_each_time_is_the_same(shown: str, printed: str) -> None:
    assert same(shown) == same(printed)


def test_what_is_another_word_is_not() -> None:
    assert same("web: paused") != same("web: running")
