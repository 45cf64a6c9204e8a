"""Listers and their options."""

import argparse
import io
import json

import pytest

from qemu_cli.columns import Size
from qemu_cli.command import Lister, ShowOne
from qemu_cli.config import Config
from qemu_cli.errors import UsageError


class App:
    """As much of the program as a Lister sees."""

    def __init__(self, tmp_path, overrides):
        self.stdout = io.StringIO()
        nowhere = tmp_path / "none"
        self.config = Config(
            user=nowhere, system=nowhere, environ={}, overrides=overrides
        )


class Fruit(Lister):
    """List fruit."""

    examples = ("qemu fruit",)
    table_columns = ("name", "size")

    def take_action(self, parsed_args):
        return ("name", "size", "tags"), [
            ("fig", Size(10), ["a"]),
            ("apple", Size(None), []),
            ("kiwi", Size(9), ["b", "c"]),
        ]


class One(ShowOne):
    """Show one."""

    def take_action(self, parsed_args):
        return ("name", "size"), ("fig", Size(2048))


@pytest.fixture
def show(tmp_path):
    def run(*words, command=Fruit, settings=()):
        app = App(tmp_path, settings)
        instance = command(app, argparse.Namespace(), cmd_name="fruit")
        parser = instance.get_parser("qemu fruit")
        assert instance.run(parser.parse_args(words)) == 0
        return app.stdout.getvalue()

    return run


def test_a_table_shows_the_usual_columns(show):
    assert show().splitlines()[0] == "NAME   SIZE"


def test_other_formats_show_all(show):
    first = json.loads(show("-f", "json"))[0]
    assert first == {"name": "fig", "size": 10, "tags": ["a"]}


def test_columns_are_in_the_order_asked_for(show):
    assert show("--columns", "size,name").splitlines()[0] == "SIZE  NAME"
    header = show("--columns", "+tags").splitlines()[0]
    assert header.split() == ["NAME", "SIZE", "TAGS"]


@pytest.mark.parametrize("option", ["--columns", "--sort"])
def test_an_unknown_column_names_the_known_ones(show, option):
    with pytest.raises(UsageError, match="'nmae'; known: name, size, tags"):
        show(option, "nmae")


@pytest.mark.parametrize(
    ("keys", "order"),
    [
        ("name", ["apple", "fig", "kiwi"]),
        ("-name", ["kiwi", "fig", "apple"]),
        ("size", ["kiwi", "fig", "apple"]),  # what is not known is last
        ("-size,name", ["fig", "kiwi", "apple"]),
    ],
)
def test_sorting(show, keys, order):
    out = show("--sort", keys, "--columns", "name", "-f", "value")
    assert out.split() == order


def test_sorting_by_what_is_not_shown(show):
    out = show("--sort", "tags", "--columns", "name", "-f", "value")
    assert out.split() == ["apple", "fig", "kiwi"]


def test_the_format_is_a_setting(show):
    assert show(settings=["format.list=csv"]).startswith("name,size,tags\n")
    out = show(command=One, settings=["format.show=value"])
    assert out == "fig\n2048\n"


def test_an_unknown_format_names_the_known_ones(show):
    with pytest.raises(UsageError, match="csv, json, markdown, ndjson, table"):
        show("-f", "jsno")


def test_one_thing(show):
    assert show(command=One) == "name: fig\nsize: 2.0 KiB\n"
    out = show("--columns", "size", "-f", "value", command=One)
    assert out == "2048\n"


def test_no_option_can_be_abbreviated(show):
    with pytest.raises(UsageError, match="--col"):
        show("--col", "name")


def test_the_help_ends_with_examples(show, capsys):
    with pytest.raises(SystemExit):
        show("--help")
    out = capsys.readouterr().out
    assert "List fruit." in out
    assert out.endswith("examples:\n  qemu fruit\n")


def names(text):
    return [line.split()[0] for line in text.splitlines()[1:]]


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("name == fig", ["fig"]),
        ("name != fig", ["apple", "kiwi"]),
        ("name ~ ^(f|k)i", ["fig", "kiwi"]),
        ("name contains p", ["apple"]),
        ("tags contains b", ["kiwi"]),
        ("tags == b,c", ["kiwi"]),
        ("size < 10", ["kiwi"]),
        ("size <= 10", ["fig", "kiwi"]),
        ("size > 9", ["fig"]),
        ("size >= 9", ["fig", "kiwi"]),
        ("name > fig", ["kiwi"]),
        ("size != 9", ["fig", "apple"]),
    ],
)
def test_a_filter_keeps_rows(show, words, kept):
    assert names(show("--filter", *words.split())) == kept


def test_filters_add_up_and_know_nothing(show):
    both = ("--filter", "name", ">", "b", "--filter", "size", "<", "10")
    assert names(show(*both)) == ["kiwi"]
    assert names(show("--filter", "size", "==", "")) == ["apple"]


def test_a_filter_names_a_column_that_is_not_shown(show):
    assert show("--filter", "tags", "contains", "a", "--columns", "name") == (
        "NAME\nfig\n"
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("nam == fig", "no column 'nam'"),
        ("name = fig", "no operator '='"),
        ("name ~ (", "no regular expression"),
        ("size < much", "not a number"),
    ],
)
def test_a_wrong_filter_is_told(show, words, says):
    with pytest.raises(UsageError, match=says):
        show("--filter", *words.split())


def test_a_template_comes_with_the_format(show):
    assert show("-f", "template:{name}:{size}") == "fig:10\napple:\nkiwi:9\n"
    assert show("-f", "template:{size:>6}", command=One) == "  2048\n"


def test_a_template_is_checked_without_a_row(show):
    with pytest.raises(UsageError, match="no column 'nam'"):
        show("-f", "template:{nam}", "--filter", "name", "==", "none")


def test_a_template_as_a_setting(show):
    setting = ["format.list=template:{name}"]
    assert show(settings=setting) == "fig\napple\nkiwi\n"


def test_markdown_shows_what_a_table_shows(show):
    assert show("-f", "markdown", "--sort", "size") == (
        "| name | size |\n| --- | ---: |\n"
        "| kiwi | 9 B |\n| fig | 10 B |\n| apple |  |\n"
    )
