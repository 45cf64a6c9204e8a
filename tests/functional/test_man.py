"""Man pages and completions as they are installed, beside ``bin``."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from qemu_cli import completion, extensions, manual

ROOT = Path(__file__).parents[2]

#: Pages that QEMU's own packages have.
QEMU_OWN = {
    *("qemu-img.1", "qemu-io.1", "qemu-nbd.8", "qemu-storage-daemon.1"),
    *("qemu-ga.8", "qemu-pr-helper.8", "qemu-system.1", "qemu-user.1"),
    *("qemu-block-drivers.7", "qemu-cpu-models.7", "qemu-qmp-ref.7"),
    *("qemu-ga-ref.7", "qemu-storage-daemon-qmp-ref.7"),
}


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an installation puts below its prefix, made anew."""
    prefix = tmp_path_factory.mktemp("prefix")
    work = tmp_path_factory.mktemp("work")
    subprocess.run(
        [
            *(sys.executable, "setup.py", "-q", "egg_info", "-e", work),
            *("build", "-b", work, "install_data", "-d", prefix),
        ],
        cwd=ROOT,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
        check=True,
        timeout=240,
    )
    (prefix / "bin").mkdir()
    return prefix


def pages(prefix: Path) -> list[Path]:
    return sorted((prefix / "share" / "man").glob("man?/*"))


def man(prefix: Path, page: str) -> str:
    """What man(1) shows when ``bin`` is in PATH and nothing else is said."""
    environ = {k: v for k, v in os.environ.items() if k != "MANPATH"}
    environ |= {
        "PATH": f"{prefix / 'bin'}:{environ['PATH']}",
        "MANWIDTH": "80",
        "LC_ALL": "C.UTF-8",
        "MAN_KEEP_FORMATTING": "",
    }
    return subprocess.run(
        ["man", page],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout


def test_every_command_and_topic_has_a_page(prefix: Path) -> None:
    commands = extensions.own("qemu_cli.commands")
    expected = {f"qemu-{name.replace('_', '-')}.1" for name in commands}
    expected |= {f"qemu-{topic}.7" for topic in manual.TOPICS}
    found = {page.name for page in pages(prefix)}
    assert found == expected | {"qemu.1"}
    assert found & QEMU_OWN == set()


def test_man_finds_them_beside_bin(prefix: Path) -> None:
    page = man(prefix, "qemu-snapshot-create")
    assert re.search(r"\n +qemu-snapshot-create +- +Keep ", page)
    for section in "SYNOPSIS", "OPTIONS", "EXAMPLES", "EXIT STATUS":
        assert f"\n{section}\n" in page
    assert "--external" in page
    page = man(prefix, "qemu")
    assert "qemu-snapshot-create(1)" in page
    assert "--trace-qmp" in page
    page = man(prefix, "qemu-exit-codes")
    assert "UsageError" in page


def test_no_page_has_a_mistake(prefix: Path) -> None:
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", *pages(prefix)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    # The same source gives the same page, so there is no date in it.
    wrong = [
        line
        for line in done.stdout.splitlines()
        if "missing date" not in line and not line.startswith("see ")
    ]
    assert wrong == []


def test_groff_understands_them(prefix: Path) -> None:
    done = subprocess.run(
        [
            *("groff", "-K", "utf8", "-man", "-T", "utf8", "-ww", "-z"),
            *pages(prefix),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stderr == ""


def test_nothing_of_the_text_is_lost(prefix: Path) -> None:
    # What roff would take for a request, or for an escape.
    page = man(prefix, "qemu-formats").replace("\N{HYPHEN}\n", "")
    assert "--filter memory_mib '>=' 2G --filter name '~' '^web'" in page
    assert "template:'{name:12} {state}'" in page


def test_the_shells_find_the_completions(prefix: Path) -> None:
    for shell, place in completion.PLACES.items():
        script = (prefix / place).read_text()
        assert f"`qemu completion {shell}`" in script
        subprocess.run([shell, "-n", prefix / place], check=True, timeout=60)
    loaded = subprocess.run(
        [
            *("zsh", "-f", "-c"),
            "fpath=($0 $fpath); autoload -Uz compinit; compinit -u -D;"
            " print -- $_comps[qemu]",
            (prefix / completion.PLACES["zsh"]).parent,
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert loaded.stdout == "_qemu\n"
