"""One booted guest for all; each test leaves it as it was."""

import pytest


@pytest.fixture(scope="session")
def home(guest_home):
    return guest_home


@pytest.fixture(scope="session")
def booted(boot):
    return boot("g", "--memory", "512M")


@pytest.fixture
def guest(booted):
    """The guest; nothing of ours may be left in it."""
    yield booted
    # What removes them is not waited for.
    booted.until(
        lambda: "\n0\n" in booted.console("ls /tmp | grep -c ^qemu-"),
        "/tmp is not clean",
    )
