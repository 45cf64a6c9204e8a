"""Commands that show something, in any format."""

import abc
import argparse
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from qemu_cli import extensions, settings
from qemu_cli.columns import flat, plain
from qemu_cli.command.base import Command
from qemu_cli.errors import UsageError
from qemu_cli.settings import Setting
from qemu_cli.suggest import did_you_mean

Table = tuple[Sequence[str], Iterable[Sequence[Any]]]


class Display(Command):
    """What :class:`Tabular` and :class:`ShowOne` have in common."""

    #: The entry-point group of the formats.
    formatter_namespace = "qemu_cli.formatters.list"
    format_setting: Setting[str] = settings.FORMAT_LIST

    paged = True

    #: What a table shows; None: everything.  Other formats show it all.
    table_columns: tuple[str, ...] | None = None

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the options that choose the output."""
        parser = super().get_parser(prog_name)
        self.add_output_options(parser.add_argument_group("output"))
        return parser

    def add_output_options(self, group: "argparse._ArgumentGroup") -> None:
        """Add ``-f`` and ``--columns``."""
        known = ", ".join(extensions.own(self.formatter_namespace))
        group.add_argument(
            "-f",
            "--format",
            dest="formatter",
            metavar="FORMAT",
            help=f"{known}, or a plug-in's; template:'{{name}} …' fills in "
            f"columns (default: the setting {self.format_setting.name})",
        )
        group.add_argument(
            "--columns",
            metavar="A,B,+C",
            help="show these, in this order; +C adds to the usual ones",
        )

    def format_name(self, args: argparse.Namespace) -> str:
        """The format asked for: with ``-f``, else by the setting."""
        asked: str = args.formatter or self.app.config[self.format_setting]
        if asked.startswith("template:"):
            return "template"
        return asked

    def formatter(self, args: argparse.Namespace) -> Any:
        """An instance of the format asked for.

        :raise UsageError: there is none of this name
        :raise PluginError: its plug-in is broken
        """
        name = self.format_name(args)
        return extensions.pick(self.formatter_namespace, name)()

    def chosen(
        self, args: argparse.Namespace, known: Sequence[str]
    ) -> list[str]:
        """The columns to show, in order.

        A command with expensive columns calls this before it fetches.

        :param known: all columns that there are
        :raise UsageError: one is asked for that there is not
        """
        usual = [*known]
        if self.table_columns and self._for_people(args):
            usual = [each for each in self.table_columns if each in known]
        if args.columns is None:
            return usual
        asked = args.columns.split(",")
        if all(each.startswith("+") for each in asked):
            asked = [*usual, *(each[1:] for each in asked)]
        asked = [each.removeprefix("+") for each in asked]
        for each in asked:
            require_column(each, known)
        return list(dict.fromkeys(asked))

    def _for_people(self, args: argparse.Namespace) -> bool:
        if self.format_name(args) == "table":  # that of nearly every run
            return True
        return getattr(self.formatter(args), "human", False)

    def faces(self, formatter: Any, row: Iterable[Any]) -> list[Any]:
        """A row as the formatter wants it."""
        if getattr(formatter, "human", False):
            return list(row)
        return [plain(value) for value in row]

    def prepare(self, args: argparse.Namespace) -> argparse.Namespace:
        """Give formatters their settings."""
        args.config = self.app.config
        asked = args.formatter or self.app.config[self.format_setting]
        args.template = asked.removeprefix("template:")
        if args.template == asked:
            args.template = ""
        return args


def require_column(name: str, known: Sequence[str]) -> None:
    """Check that there is such a column.

    :raise UsageError: there is not; names the known ones
    """
    if name not in known:
        raise UsageError(
            f"there is no column {name!r}; known: {', '.join(known)}",
            hint=did_you_mean(name, known),
        )


class Tabular(Display):
    """A command that prints a table when it sees fit."""

    def add_output_options(self, group: "argparse._ArgumentGroup") -> None:
        """Add ``--sort`` and ``--filter`` as well."""
        super().add_output_options(group)
        group.add_argument(
            "--sort",
            metavar="A,-B",
            help="sort by these columns, - turns one around",
        )
        group.add_argument(
            "--filter",
            dest="filters",
            action=_AddFilter,
            default=[],
            nargs=3,
            metavar=("KEY", "OP", "VALUE"),
            help="only rows of which this holds (repeatable); OP: == != '<' "
            "'<=' '>' '>=' '~' (a regular expression) contains",
        )

    def sort_keys(
        self, args: argparse.Namespace, known: Sequence[str]
    ) -> list[tuple[str, bool]]:
        """The columns to sort by, and whether each is turned around.

        :raise UsageError: one is asked for that there is not
        """
        keys = []
        for each in args.sort.split(",") if args.sort else ():
            name = each.removeprefix("-")
            require_column(name, known)
            keys.append((name, name != each))
        return keys

    def arranged(
        self,
        args: argparse.Namespace,
        names: Sequence[str],
        rows: Iterable[Sequence[Any]],
    ) -> Iterable[Sequence[Any]]:
        """The rows that ``--filter`` keeps, as ``--sort`` wants them.

        :raise UsageError: there is no such column, or it holds no such value
        """
        keys = self.sort_keys(args, names)
        for one in args.filters:
            require_column(one.key, names)
            one.check()
            index = names.index(one.key)
            rows = [row for row in rows if one.keeps(row[index])]
        if keys:
            rows = list(rows)
            for name, backwards in reversed(keys):
                index = names.index(name)
                rows.sort(key=_order_by(index), reverse=backwards)
                rows.sort(key=_is_nothing(index))  # last, either way round
        return rows

    def print_rows(
        self,
        formatter: Any,
        args: argparse.Namespace,
        names: Sequence[str],
        rows: Iterable[Sequence[Any]],
    ) -> None:
        """Filter, sort, choose the columns and write."""
        rows = self.arranged(args, names, rows)
        shown = self.chosen(args, names)
        places = [names.index(name) for name in shown]
        formatter.emit_list(
            shown,
            [self.faces(formatter, (row[i] for i in places)) for row in rows],
            self.app.stdout,
            self.prepare(args),
        )


class _AddFilter(argparse.Action):
    """Reads a ``--filter`` at once: it must not fail after the deed."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        from qemu_cli.command import filters

        namespace.filters = [*namespace.filters, filters.parse(values)]


class Lister(Tabular):
    """A command that shows a table.

    ``take_action`` returns the names of the columns and the rows, as
    cliff's Lister does.
    """

    @abc.abstractmethod
    def take_action(self, parsed_args: argparse.Namespace) -> Table:
        """Return the names of the columns, and the rows."""

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Print the table."""
        formatter = self.formatter(parsed_args)
        names, rows = self.take_action(parsed_args)
        self.print_rows(formatter, parsed_args, names, rows)
        return 0


def _order_by(index: int) -> Callable[[Sequence[Any]], tuple[int, Any]]:
    return lambda row: _order(row[index])


def _is_nothing(index: int) -> Callable[[Sequence[Any]], bool]:
    return lambda row: plain(row[index]) is None


def _order(value: Any) -> tuple[int, Any]:
    """Numbers before words."""
    value = plain(value)
    if value is None:
        return 2, 0
    if isinstance(value, int | float):
        return 0, value
    return 1, flat(value)


class ShowOne(Display):
    """A command that shows one thing.

    A table leaves out what is empty, unless it is asked for by name.

    ``take_action`` returns names and values, as cliff's ShowOne does.
    """

    formatter_namespace = "qemu_cli.formatters.show"
    format_setting = settings.FORMAT_SHOW

    @abc.abstractmethod
    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        """Return the names and the values."""

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Print the names and values."""
        formatter = self.formatter(parsed_args)
        names, values = self.take_action(parsed_args)
        row = dict(zip(names, values, strict=True))
        shown = self.chosen(parsed_args, names)
        if parsed_args.columns is None and getattr(formatter, "human", False):
            shown = [name for name in shown if _says(row[name])]
        formatter.emit_one(
            shown,
            self.faces(formatter, (row[name] for name in shown)),
            self.app.stdout,
            self.prepare(parsed_args),
        )
        return 0


def _says(value: Any) -> bool:
    value = plain(value)
    return value is not None and value not in ("", [], {})
