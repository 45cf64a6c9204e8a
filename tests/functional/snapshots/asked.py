"""A person at a terminal, who is asked."""

import os
from typing import TYPE_CHECKING

import pexpect

if TYPE_CHECKING:
    from tests.functional.snapshots.conftest import Machine

TIMEOUT_S = 60.0


def asked(
    vm: "Machine", answer: str | None, *words: str, question: str = ""
) -> tuple[int, str]:
    """Run ``qemu`` on a terminal; its exit code, and all that is on it.

    :param answer: to the one question; None: there is none
    :param question: words of it
    """
    terminal = pexpect.spawn(
        str(vm.home.executable),
        list(words),
        env={**os.environ, **vm.home.environment},
        dimensions=(24, 400),
        timeout=TIMEOUT_S,
        encoding="utf-8",
    )
    seen = ""
    if answer is not None:
        terminal.expect_exact("? [y/N] ")
        seen = terminal.before or ""
        assert question in seen, seen
        terminal.sendline(answer)
    terminal.expect(pexpect.EOF)
    seen += terminal.before or ""
    terminal.close()
    assert answer is not None or "[y/N]" not in seen, seen
    return terminal.exitstatus or 0, seen
