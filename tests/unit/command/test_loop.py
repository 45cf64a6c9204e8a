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


ASKED = """
import asyncio
from qemu_cli.command import loop

async def work():
    task = asyncio.ensure_future(asyncio.sleep(60))
    answers.append(task.cancel)
    print("working", flush=True)
    try:
        await task
    except asyncio.CancelledError:
        print("only the task", flush=True)
    answers.clear()
    await asyncio.sleep(60)

answers = []
loop.run(work(), lambda: bool(answers) and answers[0]())
"""


def test_who_asked_first_deals_with_ctrl_c():
    with subprocess.Popen(
        [sys.executable, "-c", ASKED],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            for line in ("working\n", "only the task\n"):
                assert process.stdout.readline() == line
                process.send_signal(signal.SIGINT)
            assert process.wait(60) == -signal.SIGINT
        finally:
            process.kill()
