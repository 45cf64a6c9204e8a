"""Points in time, as people read them."""

import time

from qemu_cli.units import format_duration


def local(seconds: float) -> str:
    """A time in seconds since 1970, on this host's clock: ISO 8601."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def ago(seconds: float) -> str:
    """The same with its distance: ``2026-01-02 03:04:05 (2h 5m ago)``."""
    passed = max(0.0, time.time() - seconds)
    return f"{local(seconds)} ({format_duration(passed)} ago)"
