"""Runs what a page has its reader type, in one shell, against real QEMUs."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from qemu_cli.testing.home import QemuHome
from qemu_cli.testing.plugin import TinyGuest
from tests.functional.pages.page import Line, same

#: What the comments of pages may use.
HELPERS = r"""
# guest NAME OPTION…: a VM of the tiny guest that runs, with its agent
guest() {
    qemu create "$1" --kernel "$KERNEL" --initrd "$INITRD" --memory 256M \
        --append 'console=ttyS0 quiet' "${@:2}" &&
        qemu start "$1" && qemu wait "$1" --for agent --timeout 120s
}
# bare NAME OPTION…: one without a guest
bare() { qemu create "$1" --memory 64M --nic none "${@:2}"; }
image() { qemu-img create -q -f "${1##*.}" "$1" "${2:-16M}"; }
"""
#: Where there is no terminal, what asks wants --yes.
HELPERS += r"""
qemu() {
    local said code
    { said=$(command qemu "$@" 2>&1 >&3 3>&-); code=$?; } 3>&1
    if [ $code = 2 ] && [[ $said == *"not without --yes"* ]]; then
        command qemu "$@" --yes
        return
    fi
    [ -z "$said" ] || printf '%s\n' "$said" >&2
    return $code
}
"""
MARK = "\x1e"
#: All of a page.
TIMEOUT_S = 240.0


def run(
    lines: Sequence[Line], home: QemuHome, guest: TinyGuest, where: Path
) -> Iterator[tuple[Line, int, str]]:
    """Run the lines that can be run; yields exit codes and outputs."""
    todo = [line for line in lines if line.why_not is None]
    script = [HELPERS, f"cd {where}", "exec 2>&1 </dev/null"]
    for line in todo:
        script += [f"printf '%s' '{MARK}'", line.typed]
        script += [f"printf '{MARK}%s' $?"]
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        stdout=subprocess.PIPE,
        env=_environment(home, guest),
        text=True,
        timeout=TIMEOUT_S,
    )
    _, *parts = done.stdout.split(MARK)
    assert len(parts) == 2 * len(todo), done.stdout
    for line, output, code in zip(todo, parts[::2], parts[1::2], strict=True):
        yield line, int(code), output


def wrong(
    lines: Sequence[Line], home: QemuHome, guest: TinyGuest, where: Path
) -> list[str]:
    """What is not as the page says, in an empty directory ``where``."""
    for file in guest:
        shutil.copy(file, where)
    found = []
    for line, code, output in run(lines, home, guest, where):
        said = f"$ {line.typed}\n{output}"
        if fails(line) != bool(code):
            found.append(f"{said}exit code {code}")
        found += [f"{said}lacks: {text}" for text in missing(line, output)]
    return found


def _environment(home: QemuHome, guest: TinyGuest) -> dict[str, str]:
    path = f"{home.executable.parent}:{os.environ['PATH']}"
    return home.environment | {
        "PATH": path,
        "QEMU_CLI_CONFIG_ACCEL": "tcg",
        "KERNEL": str(guest.kernel),
        "INITRD": str(guest.initrd),
        "COLUMNS": "200",
    }


def fails(line: Line) -> bool:
    """Whether the page says that this fails."""
    return any(text.startswith("qemu: error:") for text in line.shown)


def missing(line: Line, output: str) -> list[str]:
    """What the page shows and the program does not print."""
    printed = {same(each) for each in output.splitlines()}
    return [
        text
        for text in line.shown
        if text.strip() and "…" not in text and same(text) not in printed
    ]
