"""What the tests of rename, clone, set and edit share."""

import pytest

from qemu_cli.testing.home import QemuHome
from tests.functional.change.contents import SMALL, ok, write


@pytest.fixture
def web(qemu_home: QemuHome) -> QemuHome:
    """A home with a VM called web, with something on its disk."""
    words = ("--disk", "8M", "--forward", "22", *SMALL)
    ok(qemu_home("create", "web", *words))
    write(qemu_home, "web", 1)
    return qemu_home
