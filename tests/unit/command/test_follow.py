"""Lines as they come."""

import json
import signal
import subprocess
import sys

import pytest

PROGRAM = '''
import asyncio, sys
from qemu_cli.app import QemuApp
from qemu_cli.command import Follower

class Tick(Follower):
    """Tick."""

    async def follow(self, args):
        for number in (1, 2):
            yield {"tick": number, "text": "\\x1b[2J"}
        await asyncio.sleep(60)

    def line(self, item):
        return f"tick {item['tick']} {item['text']}"

QemuApp.run_subcommand = lambda self, argv: (
    lambda tick: tick.run(tick.get_parser("qemu tick").parse_args(argv[1:]))
)(Tick(self, self.options, cmd_name="tick"))
sys.exit(QemuApp().run(sys.argv[1:]))
'''


@pytest.fixture
def tick():
    started = []

    def start(*words):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "tick", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_each_line_is_flushed_and_ctrl_c_ends_it(tick):
    process = tick()
    assert process.stdout.readline() == "tick 1 \\x1b[2J\n"
    assert process.stdout.readline() == "tick 2 \\x1b[2J\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 130


def test_programs_get_an_object_a_line(tick):
    process = tick("-f", "ndjson")
    first = json.loads(process.stdout.readline())
    assert first == {"tick": 1, "text": "\x1b[2J"}


def test_other_formats_are_refused(tick):
    process = tick("-f", "table")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "lines, ndjson" in err
