"""Lines of the user's own making: ``-f 'template:{name} {state}'``.

Or, as a habit, the settings ``template.list`` and ``template.show``.  The
words in braces are columns, with Python's format specifications:
``{name:20} {memory_mib:>6}``.  ``\\t`` and ``\\n`` are a tab and a newline.
"""

import argparse
import string
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from qemu_cli import settings
from qemu_cli.columns import flat
from qemu_cli.errors import UsageError
from qemu_cli.settings import Setting


class Template:
    """Fills a template for each row."""

    def emit_list(
        self,
        column_names: Sequence[str],
        data: Iterable[Sequence[Any]],
        stdout: TextIO,
        parsed_args: argparse.Namespace,
    ) -> None:
        """Write the template once for each row.

        :raise UsageError: none is set, or it can't be filled
        """
        template = _template(parsed_args, settings.TEMPLATE_LIST)
        _fill(template, column_names, [_Any()] * len(column_names))
        for row in data:
            stdout.write(_fill(template, column_names, row) + "\n")

    def emit_one(
        self,
        column_names: Sequence[str],
        data: Sequence[Any],
        stdout: TextIO,
        parsed_args: argparse.Namespace,
    ) -> None:
        """Write the template once.

        :raise UsageError: none is set, or it can't be filled
        """
        template = _template(parsed_args, settings.TEMPLATE_SHOW)
        stdout.write(_fill(template, column_names, data) + "\n")


class _Any:
    """Stands for a value: a template is wrong without a row, too."""

    def __format__(self, format_spec: str) -> str:
        return ""


class _Formatter(string.Formatter):
    """Columns only: no attributes and no indexes."""

    def get_field(
        self, field_name: str, args: Sequence[Any], kwargs: Any
    ) -> tuple[Any, str]:
        if field_name not in kwargs:
            raise UsageError(
                f"the template has no column {field_name!r} to show; "
                f"known: {', '.join(kwargs)}"
            )
        return kwargs[field_name], field_name

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, _Any):
            return ""
        if not isinstance(value, int | float) or isinstance(value, bool):
            value = flat(value)
        return str(format(value, format_spec))


def _template(args: argparse.Namespace, setting: Setting[str]) -> str:
    template: str = getattr(args, "template", "") or args.config[setting]
    if not template:
        raise UsageError(
            f"-f template: the setting {setting.name} is empty",
            hint="say -f template:'{name} {state}', or set it",
        )
    return template.replace("\\t", "\t").replace("\\n", "\n")


def _fill(template: str, names: Sequence[str], row: Sequence[Any]) -> str:
    values = dict(zip(names, row, strict=True))
    try:
        return _Formatter().vformat(template, (), values)
    except ValueError as error:
        raise UsageError(f"template {template!r}: {error}") from None
