"""Settings that stand for options."""

import argparse

import pytest

from qemu_cli.command import defaults
from qemu_cli.command.base import Parser
from qemu_cli.commandmanager import CommandManager
from qemu_cli.config import Value
from qemu_cli.errors import UsageError


@pytest.fixture
def parser() -> Parser:
    parser = Parser(prog="qemu do it")
    parser.add_argument("name")
    parser.add_argument("-s", "--size", type=int)
    parser.add_argument("--kind", choices=("a", "b"))
    parser.add_argument("--add", action="append", default=[])
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--yes", action="store_true")
    parser.add_argument("--no-wait", action="store_true")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--fast", action="store_true")
    group.add_argument("--rate", type=int)
    return parser


def parse(parser: Parser, typed: str, **settings: str) -> argparse.Namespace:
    values = {
        key.replace("_", "-"): Value(text, "user", "F")
        for key, text in settings.items()
    }
    words = typed.split()
    before = defaults.words(parser, "do it", values, words)
    return parser.parse_args([*before, *words])


def test_what_was_typed_wins(parser: Parser) -> None:
    assert parse(parser, "x", size="3").size == 3
    assert parse(parser, "x --size 4", size="3").size == 4
    assert parse(parser, "x -s4", size="3").size == 4
    assert parse(parser, "x", kind="b").kind == "b"


def test_a_list_is_replaced_not_added_to(parser: Parser) -> None:
    assert parse(parser, "x", add="a 'b c'").add == ["a", "b c"]
    assert parse(parser, "x --add=z", add="a").add == ["z"]


def test_a_flag_and_its_opposite(parser: Parser) -> None:
    assert parse(parser, "x", dry_run="yes").dry_run
    assert not parse(parser, "x", dry_run="no").dry_run
    assert not parse(parser, "x --no-dry-run", dry_run="true").dry_run
    assert not parse(parser, "x --no-dry-run").dry_run
    assert parse(parser, "x --no-wait").no_wait
    with pytest.raises(UsageError, match="--no-size"):
        parse(parser, "x --no-size")


def test_what_excludes_it_is_stronger(parser: Parser) -> None:
    args = parse(parser, "x --rate 5", fast="yes")
    assert (args.fast, args.rate) == (False, 5)
    args = parse(parser, "x --fast", rate="5")
    assert (args.fast, args.rate) == (True, None)


def test_what_another_program_gets_is_not_ours(parser: Parser) -> None:
    parser.pass_on("rest")
    args = parse(parser, "x -- --size 9", size="3")
    assert (args.size, args.rest) == (3, ["--size", "9"])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"size": "x"}, r"F: do\.it\.size: argument -s/--size: invalid int"),
        ({"kind": "c"}, r"do\.it\.kind: argument --kind: invalid choice"),
        ({"yes": "yes"}, "--yes can have no default"),
        ({"fasst": "yes"}, "'qemu do it' has no option --fasst"),
        ({"dry_run": "2"}, "neither yes nor no"),
        ({"add": "'"}, "No closing quotation"),
    ],
)
def test_what_makes_no_sense(
    parser: Parser, settings: dict[str, str], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        parse(parser, "x", **settings)


def test_the_keys_of_all_commands() -> None:
    keys = defaults.CommandKeys(CommandManager())
    names = set(keys.names())
    assert {"list.format", "snapshot.create.external"} < names
    assert not {"delete.yes", "list.help", "run.rm"} & names
    for name in names:
        assert keys.find(name), name
    assert keys.find("memory") is None
    assert keys.find("no.such.command") is None


@pytest.mark.parametrize(
    ("word", "key"),
    [
        ("CREATE_MEMORY", "create.memory"),
        ("SNAPSHOT_CREATE_EXTERNAL", "snapshot.create.external"),
        ("NBD_EXPORT_MAX_CONNECTIONS", "nbd-export.max-connections"),
        ("CREATE", None),
        ("NOTHING_AT_ALL", None),
    ],
)
def test_variables(word: str, key: str | None) -> None:
    assert defaults.CommandKeys(CommandManager()).of_variable(word) == key


def test_nothing_that_destroys_or_confirms_is_left_out() -> None:
    """Each option of this kind that there is has no default."""
    manager = CommandManager()
    dangerous = (
        *("yes", "force", "hard", "delete", "discard", "shrink", "all"),
        *("kill", "trust", "owner"),
    )
    for words in manager.commands:
        parser = manager.load(words)(None, None).get_parser("qemu")
        for flag in parser._option_string_actions:
            name = flag.removeprefix("--")
            if name.split("-")[0] in dangerous and name != "all-kinds":
                assert name in defaults.NEVER, f"{words} {flag}"
