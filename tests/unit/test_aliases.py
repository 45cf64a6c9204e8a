"""What an alias stands for."""

import subprocess

import pytest

from qemu_cli.aliases import expand, shell_line
from qemu_cli.errors import UsageError


@pytest.mark.parametrize(
    ("text", "arguments", "words"),
    [
        ("start --console", ["web"], ["start", "--console", "web"]),
        ("start '@ARG1@ x'", ["web"], ["start", "web x"]),
        ("set @ARG1@ memory=@ARG2@", ["a", "2G"], ["set", "a", "memory=2G"]),
        ("a @ARG2@ @ARGS@", ["1", "2", "3"], ["a", "2", "1", "3"]),
        ("a @ARGS@ --yes", ["x y", ""], ["a", "x y", "", "--yes"]),
        ("a --names=@ARGS@", ["x", "y"], ["a", "--names=x y"]),
    ],
)
def test_words(text, arguments, words):
    assert expand("up", text, arguments) == words


@pytest.mark.parametrize("make", [expand, shell_line])
@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("a @ARG2@", ["one"], "up needs 2 arguments"),
        ("a @ARG1@", ["one", "two"], "no more than 1"),
        ("a @ARG0@", ["one"], "@ARG0@"),
    ],
)
def test_slots_and_arguments_must_match(make, text, arguments, message):
    with pytest.raises(UsageError, match=message):
        make("up", text, arguments)


def test_quotes_must_match():
    with pytest.raises(UsageError, match=r"alias\.up: No closing quotation"):
        expand("up", "start 'web", [])


@pytest.mark.parametrize(
    "text", ["!printf '%s|'", "!printf '%s|' @ARGS@", "!printf %s\\| @ARGS@"]
)
def test_arguments_are_never_shell_syntax(text):
    line = shell_line("x", text, ["$(id)", "a b", "'", ";ls"])
    done = subprocess.run(
        ["sh", "-c", line], capture_output=True, text=True, check=True
    )
    assert done.stdout == "$(id)|a b|'|;ls|"
