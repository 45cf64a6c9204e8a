"""Options that plug-ins add to commands that make a VM.

Group ``qemu_cli.options.create``; what ``create`` takes, ``run`` takes.
"""

import abc
import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from qemu_cli import extensions
from qemu_cli.errors import PluginError

if TYPE_CHECKING:
    from qemu_cli.instance.host import Host
    from qemu_cli.instance.parts import Extra

GROUP = "qemu_cli.options.create"


class CreateOptions(abc.ABC):
    """The options of one plug-in.

    An object is made for each parser.
    """

    @abc.abstractmethod
    def add(self, parser: argparse.ArgumentParser) -> None:
        """Add them, mostly as a group of their own."""

    @abc.abstractmethod
    def extra(self, args: argparse.Namespace, host: "Host") -> "Extra | None":
        """What the new VM gets by them; None: nothing was asked for.

        Called before anything is made, with all that was typed.

        :raise UsageError: it makes no sense
        """


class PluginOptions:
    """Those of all plug-ins; one that is broken is told, and left out.

    :param warn: told of it
    """

    def __init__(self, warn: Callable[[str], object]) -> None:
        self._warn = warn
        self._all: dict[str, CreateOptions] = {}
        for name in extensions.names(GROUP):
            try:
                self._all[name] = extensions.pick(GROUP, name)()
            except PluginError as error:
                warn(str(error))

    def add(self, parser: argparse.ArgumentParser) -> None:
        """Add all options, but none of a plug-in of whom one is taken."""
        for name, each in list(self._all.items()):
            alone = argparse.ArgumentParser(add_help=False)
            each.add(alone)
            taken = set(alone._option_string_actions).intersection(
                parser._option_string_actions
            )
            if taken:
                del self._all[name]
                self._warn(
                    f"the options {name!r} of a plug-in are left out: there "
                    f"is {', '.join(sorted(taken))} already"
                )
            else:
                each.add(parser)

    def extras(
        self, args: argparse.Namespace, host: "Host"
    ) -> "tuple[Extra, ...]":
        """What the new VM gets.

        :raise UsageError: it makes no sense
        """
        asked = (each.extra(args, host) for each in self._all.values())
        return tuple(extra for extra in asked if extra is not None)


def exclude(
    parser: argparse.ArgumentParser,
    action: argparse.Action,
    *others: argparse.Action,
) -> None:
    """Let an option not be typed beside others, which may be together.

    argparse itself has groups only of which one excludes all others.  The
    actions are the parser's already.
    """
    for other in others:
        group = parser.add_mutually_exclusive_group()
        group._group_actions += [action, other]
