"""Letting a person edit a file."""

import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from qemu_cli.errors import QemuCliError, UsageError
from qemu_cli.settings import EDITOR

if TYPE_CHECKING:
    from qemu_cli.app import QemuApp

_T = TypeVar("_T")


def edit(app: "QemuApp", file: Path) -> None:
    """Run the editor on a file, and wait until the person is done.

    :raise UsageError: there is no such editor
    :raise QemuCliError: it failed
    """
    command = (
        _configured(app)
        or os.environ.get("VISUAL")
        or os.environ.get("EDITOR")
        or "vi"
    )
    try:
        done = subprocess.run([*shlex.split(command), file], check=False)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"the editor '{command}' can't be run: {reason}",
            hint="'qemu config set core.editor COMMAND' names another",
        ) from error
    if done.returncode:
        raise QemuCliError(
            f"the editor '{command}' failed with exit code {done.returncode}"
        )


def _configured(app: "QemuApp") -> str:
    try:
        return app.config[EDITOR]
    except QemuCliError:
        return ""  # it is the settings that are to be repaired


def revise(
    app: "QemuApp",
    draft: Path,
    before: str,
    accept: Callable[[str], _T],
    *,
    what: str,
    again: str,
) -> _T | None:
    """Have a person edit a text until it is accepted.

    :param draft: holds the text; it stays when the text is not accepted
    :param before: the text that it replaces
    :param accept: takes the new text, or says what is wrong with it
    :param what: its name in messages, such as ``the definition of 'web'``
    :param again: the command that goes on with the draft
    :return: what ``accept`` returned, or None: nothing has changed
    :raise QemuCliError: what is wrong with it, and where it is
    """
    while True:
        try:
            edit(app, draft)
        finally:
            text = draft.read_text(encoding="utf-8", errors="replace")
            if text == before:
                draft.unlink()
        if text == before:
            return None
        try:
            done = accept(text)
            break
        except QemuCliError as problem:
            _ask(app, problem, draft, what, again)
    draft.unlink()
    return done


def _ask(
    app: "QemuApp", problem: QemuCliError, draft: Path, what: str, again: str
) -> None:
    """Return when the person wants to edit again."""
    hint = f"your text is in {draft}"
    if not app.ui.interactive:
        problem.hint = f"{hint}; '{again}' goes on with it"
        raise problem
    app.ui.error(str(problem))
    if problem.hint:
        app.ui.hint(problem.hint)
    try:
        app.ui.confirm("edit again", yes=False)
    except QemuCliError:
        raise QemuCliError(f"{what} is as it was", hint=hint) from None
