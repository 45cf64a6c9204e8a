"""The class that every command descends from."""

import argparse
import functools
import inspect
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import cliff.command

from qemu_cli.errors import UsageError
from qemu_cli.suggest import did_you_mean

if TYPE_CHECKING:
    from qemu_cli.app import QemuApp


@functools.cache
def _columns() -> int:
    return shutil.get_terminal_size().columns - 2


def _help_formatter(prog: str) -> argparse.HelpFormatter:
    # argparse makes one for each option that is added, and each would ask
    # the terminal for its width.
    return argparse.RawDescriptionHelpFormatter(prog, width=_columns())


class Parser(argparse.ArgumentParser):
    """A parser that raises, so that all errors are printed in one way."""

    #: Options whose value may begin with a dash: ``--sort -name``.
    DASHED = frozenset({"--sort"})

    #: The last positional may begin with a dash: ``config set KEY -VALUE``.
    dashed_last = False

    #: The positional that gets all words behind ``--``, as they are.
    _passed_on: str | None = None

    def __init__(self, **settings: Any) -> None:
        super().__init__(
            allow_abbrev=False,
            formatter_class=_help_formatter,
            **settings,
        )

    def pass_on(self, dest: str, **settings: Any) -> None:
        """Add a positional for the words of another program.

        They are those behind the first ``--``, whatever they look like;
        without a ``--``, it is an ordinary list of words.

        :param settings: as for ``add_argument``
        """
        self._passed_on = dest
        self.add_argument(dest, nargs="*", **settings)

    def parse_known_args(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        namespace: argparse.Namespace | None = None,
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse, with values that argparse takes for options."""
        words: list[str] = []
        for word in sys.argv[1:] if args is None else args:
            # What stands behind -- is somebody else's.
            if words and words[-1] in self.DASHED and "--" not in words:
                words[-1] += f"={word}"
            else:
                words.append(word)
        return super().parse_known_args(words, namespace)

    def parse_args(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        namespace: argparse.Namespace | None = None,
    ) -> argparse.Namespace:
        """Parse all words.

        :raise UsageError: some are not understood; names the nearest option
        """
        args = list(sys.argv[1:] if args is None else args)
        self._add_negations(args)
        if self.dashed_last and "--" not in args:
            known = self._option_string_actions
            text = [w for w in args if w[:1] == "-" and w not in known]
            text = [w for w in text if w.partition("=")[0] not in known]
            args = [*(w for w in args if w not in text), "--", *text]
        behind: list[str] = []
        if self._passed_on and "--" in args:
            dashes = args.index("--")
            args, behind = args[:dashes], args[dashes + 1 :]
        parsed, rest = self.parse_known_args(args, namespace)
        if rest and not self._takes_the_rest():
            # A list of words is over for argparse at the first option:
            # `stop web --hard disk0`.
            parsed, rest = self.parse_known_intermixed_args(args, namespace)
        if rest:
            raise UsageError(
                f"not understood: {' '.join(rest)}",
                hint=did_you_mean(
                    rest[0].partition("=")[0], self._option_string_actions
                )
                or self._see_help(),
            )
        if self._passed_on and behind:
            if before := getattr(parsed, self._passed_on):
                raise UsageError(
                    f"not understood: {' '.join(before)}",
                    hint="-- stands before all words that are passed on",
                )
            setattr(parsed, self._passed_on, behind)
        return parsed

    def _add_negations(self, args: Sequence[str]) -> None:
        """Understand ``--no-X`` of each flag ``--X``: it may be a default.

        Only those that are typed are added.
        """
        for word in args:
            if word == "--":
                return
            flag = self._option_string_actions.get("--" + word[5:])
            if (
                word.startswith("--no-")
                and word not in self._option_string_actions
                and isinstance(flag, argparse._StoreTrueAction)
            ):
                self.add_argument(
                    word,
                    dest=flag.dest,
                    action="store_false",
                    default=flag.default,
                    help=argparse.SUPPRESS,
                )

    def error(self, message: str) -> NoReturn:
        """Raise instead of leaving the program.

        :raise UsageError: always
        """
        raise UsageError(message, hint=self._see_help())

    def _takes_the_rest(self) -> bool:
        """Tell whether a positional ends all options (REMAINDER)."""
        return any(
            action.nargs == argparse.REMAINDER for action in self._actions
        )

    def _see_help(self) -> str:
        return f"see '{self.prog} --help'"


class Command(cliff.command.Command):
    """A command: a parser, one call of a service, a result.

    The first line of the docstring is its help; :attr:`examples` is shown
    below the options, and every command has at least one.
    """

    app: "QemuApp"

    #: Lines such as ``qemu start web``; a comment after two blanks is fine.
    examples: tuple[str, ...] = ()

    conflict_handler = "error"

    #: What the settings put before what was typed.
    defaults: Sequence[str] = ()

    #: Whether a terminal gets its output through the pager when it is long.
    #: What is flushed is shown at once, and not through a pager.
    paged = False

    def __init__(
        self,
        app: "QemuApp",
        app_args: argparse.Namespace | None,
        cmd_name: str | None = None,
    ) -> None:
        # Without a name, cliff looks for no CommandHooks: one mechanism
        # per purpose, and theirs costs a look at every distribution.
        super().__init__(app, app_args, cmd_name=None)
        self.cmd_name = cmd_name

    @classmethod
    def summary(cls) -> str:
        """The first line of the docstring, without the full stop."""
        text = inspect.cleandoc(cls.__doc__ or "")
        return text.partition("\n")[0].rstrip(".")

    def get_description(self) -> str:
        """The docstring."""
        return inspect.cleandoc(type(self).__doc__ or "")

    def get_epilog(self) -> str:
        """The examples.

        cliff's own reads the file list of every installed distribution.
        """
        if not self.examples:
            return ""
        return "\n  ".join(("examples:", *self.examples))

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Make the parser; subclasses add to it."""
        return Parser(
            prog=prog_name,
            description=self.get_description(),
            epilog=self.get_epilog(),
            conflict_handler=self.conflict_handler,
        )

    def warn(self, text: str) -> None:
        """Tell of something that is wrong but stops nothing."""
        if self.app is not None:  # there is none where only help is made
            self.app.ui.warn(text)

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run it; what :meth:`take_action` returns is the exit code."""
        return int(self.take_action(parsed_args) or 0)
