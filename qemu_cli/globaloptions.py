"""What stands before the first word of a command line: ``qemu -v list``."""

import argparse


def add(parser: argparse.ArgumentParser, version: str | None) -> None:
    """Add all options that every command has."""
    parser.add_argument(
        "-c",
        dest="settings",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="a setting for this run (repeatable)",
    )
    parser.add_argument(
        "-v",
        "--verbose",
        dest="verbose_level",
        action="count",
        default=1,
        help="say more; -vv shows what libraries log",
    )
    parser.add_argument(
        "-q",
        "--quiet",
        dest="verbose_level",
        action="store_const",
        const=0,
        help="say nothing but warnings and errors",
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    parser.add_argument(
        "--log-file", metavar="FILE", help="write a log, at any -v or -q"
    )
    parser.add_argument(
        "--trace-qmp",
        action="store_true",
        help="show what is said to QEMU and what it answers",
    )
    parser.add_argument(
        "--no-pager",
        action="store_true",
        help="show what is long without a pager",
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"qemu-cli {version}",
        help="show the version and exit",
    )
    parser.add_argument(
        "-h",
        "--help",
        dest="deferred_help",
        action="store_true",
        help="show all commands, or the help of the one that follows",
    )
    # As in git: what follows the first word is the command's.
    parser.add_argument(
        "words", nargs=argparse.REMAINDER, help=argparse.SUPPRESS
    )
