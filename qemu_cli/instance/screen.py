"""A VM's screen and keyboard, without a viewer."""

import asyncio
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from qemu_cli.errors import RefusedError, StateError, UsageError
from qemu_cli.instance import talk
from qemu_cli.instance.host import Host
from qemu_cli.instance.vm import VM
from qemu_cli.qmp import arguments

#: What people call keys, and QEMU otherwise (QAPI QKeyCode).
_NAMES = {
    "control": "ctrl",
    "del": "delete",
    "enter": "ret",
    "escape": "esc",
    "ins": "insert",
    "option": "alt",
    "pagedown": "pgdn",
    "pageup": "pgup",
    "return": "ret",
    "space": "spc",
    "super": "meta_l",
    "win": "meta_l",
    "altgr": "alt_r",
}

#: On a keyboard with the layout of the United States.
_PLAIN = {
    "\n": "ret",
    "\t": "tab",
    " ": "spc",
    "-": "minus",
    "=": "equal",
    "[": "bracket_left",
    "]": "bracket_right",
    "\\": "backslash",
    ";": "semicolon",
    "'": "apostrophe",
    "`": "grave_accent",
    ",": "comma",
    ".": "dot",
    "/": "slash",
}
_SHIFTED = {
    **dict(zip("!@#$%^&*()", "1234567890", strict=True)),
    "_": "minus",
    "+": "equal",
    "{": "bracket_left",
    "}": "bracket_right",
    "|": "backslash",
    ":": "semicolon",
    '"': "apostrophe",
    "~": "grave_accent",
    "<": "comma",
    ">": "dot",
    "?": "slash",
}

#: How long a key is held, in milliseconds; and the rest until the next.
_HOLD_MS = 20
_NEXT_S = 0.03


def default_file(vm: VM) -> Path:
    """Name a picture after the VM and the time."""
    return Path(time.strftime(f"{vm.name}-%Y%m%d-%H%M%S.png"))


async def shoot(host: Host, vm: VM, file: Path, *, force: bool) -> Path:
    """Write what is on the screen to a PNG file.

    QEMU writes it (QMP screendump), beside the file and then moved there.

    :param force: replace a file that there is
    :return: its absolute path
    :raise UsageError: the file is there, or its directory is not
    :raise StateError: the VM has no screen, or does not run
    """
    file = file.absolute()
    if file.is_dir():
        file /= default_file(vm)
    if not file.parent.is_dir():
        raise UsageError(f"there is no directory {file.parent}")
    if file.exists() and not force:
        raise UsageError(
            f"{file} is there already", hint="--force replaces it"
        )
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        async with host.sessions.open(vm.monitors) as session:
            talk.check_runs(vm)
            wanted = {"filename": str(draft), "format": "png"}
            try:
                await session.execute("screendump", wanted)
            except RefusedError as error:
                raise _no_screen(vm, error) from error
        if not draft.is_file():
            raise StateError(
                f"QEMU of '{vm.name}' has written the picture where it is "
                "not seen from here: it is on another host, or has other "
                "mounts",
            )
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
    return file


def _no_screen(vm: VM, error: RefusedError) -> Exception:
    if "no console" not in str(error):
        return error
    return StateError(
        f"'{vm.name}' has no screen",
        hint=None
        if vm.foreign
        else f"qemu set {vm.name} display=vnc, and start it again",
    )


async def press(host: Host, vm: VM, combinations: Sequence[str]) -> None:
    """Press keys, one combination after the other.

    :param combinations: such as ``ctrl-alt-delete``
    :raise UsageError: there is no such key; names the nearest
    """
    await _send(host, vm, [_keys(each) for each in combinations])


async def write(host: Host, vm: VM, text: str) -> None:
    """Type a text, as on a keyboard with the layout of the United States.

    :raise UsageError: it has characters that this keyboard has not
    """
    await _send(host, vm, [_stroke(letter) for letter in text])


async def _send(host: Host, vm: VM, strokes: Iterable[Sequence[str]]) -> None:
    talk.check_runs(vm)
    async with host.sessions.open(vm.monitors) as session:
        ready: list[Mapping[str, Any]] = [
            {
                "keys": [{"type": "qcode", "data": key} for key in stroke],
                "hold-time": _HOLD_MS,
            }
            for stroke in strokes
        ]
        if not vm.monitors.human:  # that checks each by itself
            known = await host.schema(vm, session)
            ready = [arguments.check(known, "send-key", o) for o in ready]
        for each in ready:
            await session.execute("send-key", each)
            # A PS/2 keyboard remembers sixteen keys, and drops the rest.
            await asyncio.sleep(_NEXT_S)


def _keys(combination: str) -> list[str]:
    if combination == "-":
        return ["minus"]
    names = [_NAMES.get(each, each) for each in combination.lower().split("-")]
    if not all(names):
        raise UsageError(
            f"'{combination}' is no combination of keys",
            hint="such as ret, f2 or ctrl-alt-delete; minus is the dash",
        )
    return [name if len(name) > 1 else _stroke(name)[-1] for name in names]


def _stroke(letter: str) -> list[str]:
    if letter in _PLAIN:
        return [_PLAIN[letter]]
    if letter in _SHIFTED:
        return ["shift", _SHIFTED[letter]]
    if letter.isascii() and letter.isalnum():
        return ["shift", letter.lower()] if letter.isupper() else [letter]
    raise UsageError(
        f"{letter!r} can't be typed: the keyboard is one of the United States"
    )
