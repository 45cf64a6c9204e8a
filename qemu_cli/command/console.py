"""Attaching the user's terminal, or a pipe, to a guest's serial port."""

import sys
from typing import TYPE_CHECKING

from qemu_cli.command import loop
from qemu_cli.command.guest_text import GuestText
from qemu_cli.command.terminal import RESET, raw
from qemu_cli.errors import QemuCliError
from qemu_cli.instance import console, logs
from qemu_cli.instance.console import Why

if TYPE_CHECKING:
    from qemu_cli.app import QemuApp
    from qemu_cli.instance.vm import VM

#: So many lines of the past are shown first, on a terminal.
REPLAY_LINES = 20
#: A guest that is silent for so long has answered, in seconds.
SILENCE_S = 1.0


def attach(
    app: "QemuApp",
    vm: "VM",
    *,
    replay_lines: int | None = None,
    silence_s: float | None = None,
) -> None:
    """Attach stdin and stdout until the person leaves or QEMU ends.

    :param replay_lines: None: :data:`REPLAY_LINES`
    :param silence_s: None: :data:`SILENCE_S`; see :func:`console.pump`
    :raise StateError: the VM does not run
    :raise BusyError: somebody is attached already
    :raise QemuCliError: QEMU died
    """
    if replay_lines is None:
        replay_lines = REPLAY_LINES
    if silence_s is None:
        silence_s = SILENCE_S
    loop.run(_attach(app, vm, replay_lines, silence_s))


async def _attach(
    app: "QemuApp", vm: "VM", replay_lines: int, silence_s: float
) -> None:
    keys, screen = sys.stdin.fileno(), sys.stdout.fileno()
    host = app.host_of(vm)
    await logs.bound(host, vm)
    async with console.connected(host, vm) as sock:
        if not app.stdin.isatty():
            why = await console.pump(
                *(sock, keys, screen), terminal=False, silence_s=silence_s
            )
        else:
            app.ui.say(f"{vm.name}: attached to its console; Ctrl-] leaves")
            if vm.state == "paused":
                app.ui.say(f"it is paused: 'qemu resume {vm.name}'")
            if app.stdout.isatty():
                _replay(app, vm, replay_lines)
            try:
                with raw(keys):
                    why = await console.pump(
                        *(sock, keys, screen),
                        terminal=True,
                        silence_s=silence_s,
                    )
            finally:
                if app.stdout.isatty():
                    app.stdout.write(f"{RESET}\n")
                    app.stdout.flush()
    await _explain(app, vm, why)


def _replay(app: "QemuApp", vm: "VM", lines: int) -> None:
    """Show what the guest wrote last: else the screen stays empty."""
    log, text = vm.paths.serial_log, GuestText()
    for block in logs.read(log, logs.tail_offset(log, lines)):
        app.stdout.write(text.feed(block))
    app.stdout.write(text.feed(b"", final=True))
    app.stdout.flush()


async def _explain(app: "QemuApp", vm: "VM", why: Why) -> None:
    if why == "left":
        app.ui.say(f"{vm.name}: left its console; it still runs")
    if why != "ended":
        return
    now = await console.how_it_ended(app.host, vm)
    reason = f" ({now.reason})" if now.reason else ""
    if now.state == "crashed":
        raise QemuCliError(
            f"'{vm.name}' has crashed{reason}",
            hint=f"'qemu log {vm.name} --qemu' may say why",
        )
    if now.alive:
        app.ui.say(f"{vm.name}: QEMU closed the console")
    else:
        app.ui.say(f"{vm.name}: it has ended{reason}")
