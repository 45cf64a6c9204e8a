"""VMs that somebody else started, with disks."""

from collections.abc import Callable

import pytest

from tests.functional.by_hand import Foreign
from tests.functional.strangers import Stranger, image


@pytest.fixture
def stranger(foreign: Foreign) -> Callable[..., Stranger]:
    """Start one with a chain of two on virtio, and a disk on IDE."""

    def start(*args: str, **options: str) -> Stranger:
        directory = foreign.directory
        if not (directory / "base.qcow2").exists():
            image(directory / "base.qcow2")
            image(directory / "a.qcow2", backing=directory / "base.qcow2")
            image(directory / "b.qcow2")
        return Stranger(
            foreign,
            *("-drive", "file=a.qcow2,if=virtio", "-hda", "b.qcow2"),
            *args,
            **options,
        )

    return start
