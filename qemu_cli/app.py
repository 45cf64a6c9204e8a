"""The program: global options, which command, errors to exit codes."""

import argparse
import functools
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import cliff.app

from qemu_cli import __version__, extensions, globaloptions, streams
from qemu_cli.command.base import Parser
from qemu_cli.commandmanager import CommandManager, GroupAloneError
from qemu_cli.config import Config
from qemu_cli.errors import QemuCliError, UsageError
from qemu_cli.hooks import Hooks
from qemu_cli.paths import Paths
from qemu_cli.qmp.sessions import Sessions
from qemu_cli.settings import (
    ADVICE,
    ALIAS,
    CONNECT_TIMEOUT,
    LOCK_TIMEOUT,
    PLUGIN_DISABLED,
)
from qemu_cli.ui import UI, Warnings

if TYPE_CHECKING:
    from qemu_cli.command.defaults import CommandKeys
    from qemu_cli.instance.host import Host
    from qemu_cli.instance.vm import VM

DESCRIPTION = "The git-style front-end to QEMU."

#: They go on where the settings can't be read.
_REPAIRS = (
    *("config edit", "config set", "config unset"),
    *("doctor", "help", "version"),
)


class QemuApp(cliff.app.App):
    """What commands find at ``self.app``.

    Its services are made when they are first used: :attr:`paths`,
    :attr:`config`, :attr:`qmp`, :attr:`hooks`, :attr:`ui`.
    """

    NAME = "qemu"

    command_manager: CommandManager
    options: argparse.Namespace

    def __init__(self) -> None:
        super().__init__(
            description=DESCRIPTION,
            version=__version__,
            command_manager=CommandManager(),
            deferred_help=True,
        )
        self.log = logging.getLogger("qemu_cli")
        self.ui = UI(self.stdin, self.stderr)
        self.ui.wants = self._wants_hint

    @functools.cached_property
    def paths(self) -> Paths:
        """Where this user's things are."""
        return Paths.from_environment(os.environ)

    @functools.cached_property
    def config(self) -> Config:
        """The settings."""
        return Config(
            user=self.paths.user_config,
            system=self.paths.system_config,
            environ=os.environ,
            overrides=self.options.settings,
            more=lambda: self.command_keys,
            warn=self.ui.warn,
        )

    @functools.cached_property
    def command_keys(self) -> "CommandKeys":
        """The settings that are defaults for options of commands."""
        from qemu_cli.command.defaults import CommandKeys

        return CommandKeys(self.command_manager)

    @functools.cached_property
    def qmp(self) -> Sessions:
        """Everything that talks to QEMU."""
        trace = None
        if self.options.trace_qmp:
            from qemu_cli.qmp.trace import Trace

            trace = Trace(self.stderr.write)
        return Sessions(
            connect_timeout_s=self.config[CONNECT_TIMEOUT],
            lock_timeout_s=self.config[LOCK_TIMEOUT],
            trace=trace,
            who=self.typed,
        )

    @property
    def typed(self) -> str:
        """The command line, to recognize it by, and to paste."""
        words = [self.NAME, *self.options.words]
        if all(words) and "".join(words).replace("-", "").isalnum():
            return " ".join(words)  # shlex would cost `list` a percent
        import shlex

        return shlex.join(words)

    @functools.cached_property
    def host(self) -> "Host":
        """All of these, as operations on instances need them."""
        from qemu_cli.instance.host import Host

        return Host(
            paths=self.paths,
            config=self.config,
            sessions=self.qmp,
            hooks=self.hooks,
            say=self.ui.say,
            warn=self.ui.warn,
            progress=self.ui.progress,
            who=self.typed,
        )

    def host_of(self, vm: "VM") -> "Host":
        """The same, with the settings that a VM's definition has."""
        if vm.foreign:
            from qemu_cli.instance.discovery.strangers import make_room

            make_room(self.paths, vm)
            return self.host
        return self.host.seen_by(vm.paths)

    @functools.cached_property
    def hooks(self) -> Hooks:
        """What plug-ins take part in."""
        return Hooks(self.ui.warn)

    @property
    def aliases(self) -> dict[str, str]:
        """The user's own; none where the settings can't be read."""
        try:
            return self.config.members(ALIAS)
        except QemuCliError as error:
            self.ui.warn(str(error))
            return {}

    def _wants_hint(self, name: str) -> bool:
        try:
            return not hasattr(self, "options") or self.config[ADVICE[name]]
        except QemuCliError:
            return True  # such as: the settings can't be read

    def build_option_parser(
        self,
        description: str | None,
        version: str | None,
        argparse_kwargs: dict[str, object] | None = None,
    ) -> Parser:
        """Make the parser of what stands before the first word."""
        parser = Parser(
            prog=self.NAME,
            description=description,
            usage="qemu [OPTION…] COMMAND [ARGUMENT…]",
            add_help=False,
        )
        globaloptions.add(parser, version)
        return parser

    def configure_logging(self) -> None:
        """Send the logs to where they are wanted.

        By default that is nowhere, but for our own warnings: a library
        that logs an error also raises it, and we print that.
        """
        root = logging.getLogger()
        root.setLevel(logging.DEBUG)
        root.addHandler(logging.NullHandler())
        if self.options.log_file:
            file = logging.FileHandler(self.options.log_file)
            file.setFormatter(logging.Formatter(self.LOG_FILE_MESSAGE_FORMAT))
            root.addHandler(file)
        if self.options.verbose_level > 1:
            console = logging.StreamHandler(self.stderr)
            ours = self.options.verbose_level == 2
            console.setLevel(logging.INFO if ours else logging.DEBUG)
            (self.log if ours else root).addHandler(console)
        else:
            self.log.addHandler(Warnings(self.ui))

    def run(self, argv: Sequence[str]) -> int:
        """Run one command line.

        :return: the exit code; every error has been told
        """
        debug = "--debug" in argv
        try:
            self.options = self.parser.parse_args(argv)
            debug = self.options.debug
            self.ui.level = self.options.verbose_level
            self.configure_logging()
            extensions.disable(lambda: self.config[PLUGIN_DISABLED])
            words = self.options.words
            if words[:1] == ["--"]:
                words = words[1:]
            if self.options.deferred_help:
                words = ["help", *words]
            if words:
                return self.run_subcommand(words)
            self.interact()
            return 1
        except SystemExit as leave:  # argparse, after --help or --version
            return leave.code if isinstance(leave.code, int) else 1
        except KeyboardInterrupt:
            return 130
        except BrokenPipeError:
            raise
        except QemuCliError as error:
            return self._complain(error, debug)
        except Exception as error:  # noqa: BLE001  the last place to
            return self._complain(self.internal_error(error), debug)

    def interact(self) -> None:
        """Show what there is: we have no shell of our own."""
        from qemu_cli import helptext

        self.stdout.write(helptext.overview(self.aliases))

    def run_subcommand(
        self, argv: list[str], aliases: tuple[str, ...] = ()
    ) -> int:
        """Run the command, alias or ``qemu-foo`` that the words name.

        :param aliases: those that led here
        """
        try:
            found = self.command_manager.lookup(argv)
        except GroupAloneError as group:
            return self._show_group(group.words, argv)
        if found is None:
            code = self._run_own(argv, aliases)
            if code is None:
                raise self.command_manager.unknown(argv)
            return code
        command_class, words, rest = found
        command: Any = command_class(self, self.options, cmd_name=words)
        parser = command.get_parser(f"{self.NAME} {words}")
        before = self._defaults(parser, words, rest)
        command.defaults = before
        rest = [*before, *rest]
        if not self.stdout.isatty():
            return int(command.run(parser.parse_args(rest)))
        from qemu_cli.command.pager import paged

        is_long = getattr(command, "paged", False) or _asks_for_help(rest)
        with paged(self, words, is_long):
            return int(command.run(parser.parse_args(rest)))
        return 0  # the person has left the pager

    def _defaults(
        self, parser: argparse.ArgumentParser, words: str, typed: list[str]
    ) -> list[str]:
        """The words that the settings put before what was typed."""
        try:
            mine = self.config.below(f"{words.replace(' ', '.')}.")
        except QemuCliError:
            if words in _REPAIRS or _asks_for_help(typed):
                return []
            raise
        if not mine:
            return []
        from qemu_cli.command import defaults

        return defaults.words(parser, words, mine, typed)

    def _run_own(
        self, argv: list[str], aliases: tuple[str, ...]
    ) -> int | None:
        """Run the user's alias or executable, or return None."""
        word, *rest = argv
        text = self.config.members(ALIAS).get(word)
        if text is not None:
            from qemu_cli import aliases as module

            if word in aliases:
                raise module.endless([*aliases, word])
            if text.startswith("!"):
                words = module.shell_argv(word, text, rest)
                self._become("/bin/sh", words, rest, module.deeper(word))
            words = module.expand(word, text, rest)
            if not words:
                raise UsageError(f"alias.{word} is empty")
            return self.run_subcommand(words, (*aliases, word))
        from qemu_cli import external

        if path := external.find(word):
            self._become(path, rest, rest)
        return None

    def _become(
        self,
        path: str,
        argv: list[str],
        arguments: list[str],
        environment: Mapping[str, str] | None = None,
    ) -> NoReturn:
        """Be another program from here on.

        :param argv: all that it is given
        :param arguments: what of that the user typed
        """
        from qemu_cli import external

        told = external.environment(self, arguments)
        self.stdout.flush()
        self.stderr.flush()
        external.replace_us(path, argv, {**told, **(environment or {})})
        raise AssertionError("execve returned")

    def _show_group(self, words: str, argv: list[str]) -> int:
        from qemu_cli import helptext

        self.stdout.write(helptext.group(self.command_manager, words))
        return 0 if _asks_for_help(argv) else 1

    def internal_error(self, error: Exception) -> QemuCliError:
        """Make an error of one that nobody expected.

        What the operating system says about a file is no fault of ours.
        """
        if isinstance(error, OSError) and error.strerror:
            text = error.strerror
            if error.filename:
                text = f"{os.fsdecode(error.filename)}: {text}"
            problem = QemuCliError(text)
        else:
            problem = QemuCliError(
                f"internal error: {type(error).__name__}: {error}",
                hint="'qemu --debug …' shows where",
            )
        problem.__cause__ = error
        return problem

    def _complain(self, error: QemuCliError, debug: bool) -> int:
        if debug:
            import traceback

            traceback.print_exception(error, file=self.stderr)
        self.ui.error(str(error))
        if error.hint:
            self.ui.hint(error.hint)
        return error.exit_code


def _asks_for_help(words: Sequence[str]) -> bool:
    return not {"-h", "--help"}.isdisjoint(words)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; the console script ``qemu``.

    :param argv: the words after ``qemu``; None: those of this process
    :return: the exit code
    """
    streams.open_closed()
    try:
        code = QemuApp().run(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
    except BrokenPipeError:
        streams.give_up_stdout()  # its reader went away, as head(1) does
        return 141
    except OSError as error:  # the disk that stdout goes to is full
        UI(sys.stdin, sys.stderr).error(f"stdout: {error.strerror}")
        streams.give_up_stdout()
        return 1
    except KeyboardInterrupt:
        return 130
    return code
