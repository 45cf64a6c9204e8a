"""Sphinx directives that write the reference out of the program.

Each directive makes Markdown of what the code says and hands it back to
the parser, so that a page has nothing to keep up to date.  The functions
that make the Markdown take no Sphinx; tests use them too.
"""

import importlib
import inspect
import os
from collections.abc import Callable, Iterator
from importlib.metadata import distribution
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from qemu_cli import hookspecs
from qemu_cli.app import QemuApp
from qemu_cli.manual import generated
from qemu_cli.plugins.public import PUBLIC

COMMANDS = "qemu_cli.commands"


def command_names() -> Iterator[tuple[str, Any]]:
    """The words of each built-in command and its class, in order."""
    points = distribution("qemu-cli").entry_points.select(group=COMMANDS)
    for point in sorted(points, key=lambda point: point.name):
        yield point.name.replace("_", " "), point.load()


def hook_names() -> list[str]:
    """The hooks, in the order of the page that declares them."""
    return [
        name
        for name, function in vars(hookspecs).items()
        if inspect.isfunction(function)
        and hasattr(function, f"{hookspecs.PROJECT}_spec")
    ]


def _block(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```\n"


def options() -> str:
    return _block(QemuApp().parser.format_help())


def commands() -> str:
    parts = []
    for words, command in command_names():
        parser = command(None, None).get_parser(f"qemu {words}")
        parts.append(f"## qemu {words}\n\n{_block(parser.format_help())}")
    return "\n".join(parts)


def hooks() -> str:
    return "\n".join(
        f"```{{eval-rst}}\n.. autofunction:: qemu_cli.hookspecs.{name}\n```\n"
        for name in hook_names()
    )


def api() -> str:
    """The public names, but for the hooks: they have a page of their own."""
    parts = []
    for module, names in PUBLIC.items():
        known = importlib.import_module(module)
        first = inspect.cleandoc(known.__doc__ or "").partition("\n")[0]
        parts.append(f"## {module}\n\n{first}\n")
        parts += [
            _autodoc(module, name, getattr(known, name))
            for name in names
            if not name.startswith("qemu_cli_")
        ]
    return "\n".join(parts)


def _autodoc(module: str, name: str, thing: Any) -> str:
    if module == "qemu_cli.settings":
        return f"`{name}`: the setting `{thing.name}`.\n"
    if inspect.isclass(thing):
        kind, options = (
            "autoclass",
            "   :members:\n   :member-order: bysource\n",
        )
    elif inspect.isfunction(thing) or hasattr(thing, "__wrapped__"):
        kind, options = "autofunction", ""
    else:
        kind, options = "autodata", ""
    return f"```{{eval-rst}}\n.. {kind}:: {module}.{name}\n{options}```\n"


def directive(make: Callable[[], str]) -> type[SphinxDirective]:
    """A directive, without arguments, for one of the functions above."""

    class Generated(SphinxDirective):
        option_spec: ClassVar[dict[str, Any]] = {}

        def run(self) -> list[nodes.Node]:
            return self.parse_text_to_nodes(
                make(), allow_section_headings=True
            )

    return Generated


def setup(app: Sphinx) -> dict[str, bool]:
    os.environ["COLUMNS"] = "80"  # argparse folds help at the terminal
    app.add_directive("program-options", directive(options))
    app.add_directive("program-commands", directive(commands))
    app.add_directive("program-hooks", directive(hooks))
    for name, make in generated.PARTS.items():
        app.add_directive(f"program-{name}", directive(make))
    app.add_directive("program-api", directive(api))
    return {"parallel_read_safe": True}
