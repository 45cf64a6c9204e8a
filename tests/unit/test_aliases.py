"""What an alias stands for."""

import subprocess

import pytest

from qemu_cli.aliases import expand, shell_argv
from qemu_cli.errors import UsageError


@pytest.mark.parametrize(
    ("text", "arguments", "words"),
    [
        ("start --console", ["web"], ["start", "--console", "web"]),
        ("start '$1 x'", ["web"], ["start", "web x"]),
        ("set $1 memory=$2", ["a", "2G"], ["set", "a", "memory=2G"]),
        ("a $2 $@", ["1", "2", "3"], ["a", "2", "1", "3"]),
        ("a $@ --yes", ["x y", ""], ["a", "x y", "", "--yes"]),
        ("a --names=$@", ["x", "y"], ["a", "--names=x y"]),
        ("a ${2}G/$1 cost=5$", ["x", "y"], ["a", "yG/x", "cost=5$"]),
    ],
)
def test_words(text, arguments, words):
    assert expand("up", text, arguments) == words


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("a $2", ["one"], "up needs 2 arguments"),
        ("a ${2}b", ["one"], "up needs 2 arguments"),
        ("a $1", ["one", "two"], "no more than 1"),
        ("a $0", ["one"], r"alias\.up: \$0 is no argument"),
    ],
)
def test_slots_and_arguments_must_match(text, arguments, message):
    with pytest.raises(UsageError, match=message):
        expand("up", text, arguments)


def test_quotes_must_match():
    with pytest.raises(UsageError, match=r"alias\.up: No closing quotation"):
        expand("up", "start 'web", [])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("!printf '%s|'", "$(id)|a b|'|;ls|"),
        ("!printf '%s|' \"$@\"", "$(id)|a b|'|;ls|"),
        ("!printf '%s|' \"$2\" end", "a b|end|"),
        ("!shift; printf '%s|' \"${1}\" $#", "a b|3|"),
    ],
)
def test_arguments_are_never_shell_syntax(text, said):
    argv = shell_argv("x", text, ["$(id)", "a b", "'", ";ls"])
    done = subprocess.run(
        ["sh", *argv], capture_output=True, text=True, check=True
    )
    assert done.stdout == said
