"""What a machine remembers, beside its disks, without a guest.

The scratch register of its serial port (16550A): nobody else uses it, and
QEMU keeps it with the RAM.
"""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.functional.snapshots.conftest import Machine

_PORT = "0x3ff"


def remember(vm: "Machine", number: int) -> None:
    _monitor(vm, f"o /b {_PORT} {number:#x}")
    assert remembers(vm) == number


def remembers(vm: "Machine") -> int:
    found = re.search(r"= (0x[0-9a-f]+)", _monitor(vm, f"i /b {_PORT}"))
    assert found
    return int(found[1], 16)


def _monitor(vm: "Machine", line: str) -> str:
    return str(vm.qmp("human-monitor-command", **{"command-line": line}))
