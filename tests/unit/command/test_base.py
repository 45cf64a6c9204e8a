"""The parser of all commands: what it says of words it does not know."""

import pytest

from qemu_cli.command.base import Parser
from qemu_cli.errors import UsageError


@pytest.fixture
def parser() -> Parser:
    parser = Parser(prog="qemu list")
    parser.add_argument("--columns")
    return parser


@pytest.mark.parametrize("word", ["--colums", "--colums=name"])
def test_a_mistyped_option_has_the_nearest_named(
    parser: Parser, word: str
) -> None:
    with pytest.raises(UsageError, match=f"not understood: {word}") as error:
        parser.parse_args([word, "name"])
    assert error.value.hint == "did you mean --columns?"


def test_other_words_lead_to_the_help(parser: Parser) -> None:
    with pytest.raises(UsageError, match="not understood: web two") as error:
        parser.parse_args(["web", "two"])
    assert error.value.hint == "see 'qemu list --help'"


def test_a_list_of_words_goes_on_behind_an_option() -> None:
    parser = Parser(prog="qemu export stop")
    parser.add_argument("vm")
    parser.add_argument("exports", nargs="*")
    parser.add_argument("--hard", action="store_true")
    args = parser.parse_args(["web", "--hard", "disk0", "disk1"])
    assert (args.vm, args.hard) == ("web", True)
    assert args.exports == ["disk0", "disk1"]
    with pytest.raises(UsageError, match="not understood: --soft"):
        parser.parse_args(["web", "--soft", "disk0"])


@pytest.mark.parametrize(
    ("words", "passed_on"),
    [
        ([], []),
        (["--"], []),
        (["--", "ls", "-l", "--", "--sort", "size"], None),
        (["ls"], ["ls"]),
    ],
)
def test_words_of_another_program(
    words: list[str], passed_on: list[str] | None
) -> None:
    parser = Parser(prog="qemu exec")
    parser.add_argument("name")
    parser.add_argument("--sort")
    parser.pass_on("argv")
    args = parser.parse_args(["web", "--sort", "-a", *words])
    assert (args.name, args.sort) == ("web", "-a")
    assert args.argv == (words[1:] if passed_on is None else passed_on)


def test_words_of_another_program_have_one_beginning() -> None:
    parser = Parser(prog="qemu exec")
    parser.pass_on("argv")
    with pytest.raises(UsageError, match="not understood: ls"):
        parser.parse_args(["ls", "--", "-l"])
