"""qemu exec: input, output, exit codes and what it is given."""

import hashlib
import os
import subprocess

import pytest


def test_output_errors_and_exit_code(guest):
    done = guest.exec("sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.stdout, done.stderr) == (b"out\n", b"err\n")
    assert done.returncode == 7


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["true"], 0),
        (["exit", "3"], 3),  # of the shell that we need in between
        (["sh", "-c", "exit 125"], 125),
        (["sh", "-c", "kill -9 $$"], 137),
        (["nosuch"], 127),
    ],
)
def test_exit_codes(guest, argv, code):
    assert guest.exec(*argv).returncode == code


def test_arguments_arrive_as_they_are(guest):
    words = ["a b", "", "$HOME", "'\"\\", "--", "-n", "--sort", "ü\nz"]
    done = guest.exec("printf", "<%s>", *words)
    assert done.stdout.decode() == "".join(f"<{word}>" for word in words)


def test_the_environment(guest):
    done = guest.exec(
        *("sh", "-c", 'echo "$A|$B|$PATH"'),
        options=("--env", "A=b c=d", "--env", "B="),
    )
    assert done.stdout.startswith(b"b c=d||/")
    refused = guest.exec("true", options=("--env", "9=x"))
    assert (refused.returncode, refused.stdout) == (2, b"")
    assert b"--env 9=x: not NAME=VALUE" in refused.stderr


@pytest.mark.parametrize("size", [1, 65536, 1 << 20])
def test_binary_input_and_output(guest, size):
    data = os.urandom(size)
    both = "tee /x; cat /x >&2; rm /x"
    done = guest.exec("sh", "-c", both, stdin=data)
    assert done.returncode == 0
    assert done.stdout == data
    assert done.stderr == data


def test_every_byte(guest):
    data = bytes(range(256)) * 3
    assert guest.exec("cat", stdin=data).stdout == data


def test_no_input(guest):
    assert guest.exec("cat").stdout == b""
    words = ("exec", "g", "-n", "--", "cat")
    assert guest.qemu(*words, stdin=b"not for it").stdout == b""


def test_input_and_output_come_as_they_are_made(guest):
    """Each word is answered before the next is said."""
    process = guest.begin(
        *("exec", "g", "--", "sh", "-c"),
        'while read -r w; do echo "<$w>"; done; echo end; exit 4',
        stdin=subprocess.PIPE,
    )
    for word in ("one", "two", "three"):
        process.stdin.write(f"{word}\n".encode())
        process.stdin.flush()
        assert process.stdout.readline() == f"<{word}>\n".encode()
    out, err = process.communicate(timeout=60)
    assert (out, err, process.returncode) == (b"end\n", b"", 4)


def test_a_program_that_reads_no_more(guest):
    endless = subprocess.Popen(["yes"], stdout=subprocess.PIPE)
    process = guest.begin(
        "exec", "g", "--", "head", "-n1", stdin=endless.stdout
    )
    endless.stdout.close()
    out, err = process.communicate(timeout=60)
    endless.wait(60)
    assert (out, err, process.returncode) == (b"y\n", b"", 0)


def test_nobody_reads_our_output(guest):
    with guest.begin("exec", "g", "--", "yes") as process:
        assert process.stdout.readline() == b"y\n"
        process.stdout.close()
        process.stderr.read()
        assert process.wait(60) == 141
    assert not guest.runs("yes")


def test_a_hundred_megabytes(guest):
    """More than the agent would keep, and no byte is wrong."""
    piece = b"0123456789abcde\n" * 65536
    guest.exec("sh", "-c", "cat >/piece", stdin=piece)
    line = "for i in 0 1 2 3 4 5 6 7 8 9; do $TEN; done"
    ten = "cat " + "/piece " * 10
    digest, size = hashlib.sha256(), 0
    words = ("exec", "g", "--env", f"TEN={ten}", "--", "sh", "-c", line)
    with guest.begin(*words) as process:
        while block := process.stdout.read(1 << 20):
            digest.update(block)
            size += len(block)
        assert process.wait(60) == 0, process.stderr.read()
    expected = hashlib.sha256()
    for _ in range(100):
        expected.update(piece)
    assert size == 100 << 20
    assert digest.digest() == expected.digest()


def test_detached(guest):
    done = guest.exec(
        *("sh", "-c", "echo lost; exec sleep 345"),
        options=("--detach", "--env", "A=1"),
    )
    assert done.returncode == 0, done.stderr
    pid = int(done.stdout)
    shown = guest.sh(f"tr '\\0' ' ' </proc/{pid}/cmdline; kill {pid}")
    assert shown == "sleep 345"


def test_what_it_leaves_running_is_not_waited_for(guest):
    assert guest.sh("sleep 345 & echo $!").isdigit()
    assert guest.sh("killall sleep && echo killed") == "killed"
