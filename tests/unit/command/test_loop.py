"""Signals: the first cancels and undoes, the second leaves at once."""

import os
import signal
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, sys
from qemu_cli.command import loop

async def work(stubborn):
    try:
        print("working", flush=True)
        await asyncio.sleep(60)
    finally:
        print("undoing", flush=True)
        if stubborn:
            await asyncio.sleep(60)
        print("undone", flush=True)

loop.run(work({stubborn}))
"""


@pytest.fixture
def start():
    started = []

    def start(stubborn):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format(stubborn=stubborn)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout.readline() == "working\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_ctrl_c_undoes(start):
    process = start(False)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert out == "undoing\nundone\n"
    assert "KeyboardInterrupt" in err


def test_sigterm_undoes(start):
    process = start(False)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert out == "undoing\nundone\n"
    assert process.returncode == 143


def test_the_second_leaves_at_once(start):
    process = start(True)
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "undoing\n"
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "")
