"""Options that plug-ins add to ``qemu create``."""

import argparse
from collections.abc import Callable
from typing import Any

import pytest

from qemu_cli.command.options import exclude
from qemu_cli.testing.home import Result

GROUP = "qemu_cli.options.create"
SOURCE = '''
from qemu_cli.command.options import CreateOptions
from qemu_cli.errors import UsageError
from qemu_cli.instance.parts import NewFile, Parts


class Motto(CreateOptions):
    """A motto of the VM."""

    def add(self, parser):
        parser.add_argument("--motto")

    def extra(self, args, host):
        if args.motto is None:
            return None
        if not args.motto:
            raise UsageError("no motto")
        return lambda vm: Parts(
            "motto",
            files=(NewFile("motto", args.motto.encode(), "a motto"),),
            table={"text": args.motto, "uuid": vm.uuid},
        )


class Greedy(Motto):
    """Has an option that is ours."""

    def add(self, parser):
        parser.add_argument("--greed")
        parser.add_argument("--memory")
'''
Qemu = Callable[..., Result]


@pytest.fixture
def motto(distributions: Any) -> None:
    distributions.add(
        "motto", {GROUP: {"motto": "motto:Motto"}}, {"motto": SOURCE}
    )


@pytest.mark.usefixtures("motto")
def test_a_plug_in_adds_an_option(qemu_with: Qemu) -> None:
    assert "--motto MOTTO" in qemu_with("create", "--help").out
    assert "--motto MOTTO" in qemu_with("run", "--help").out
    words = ("create", "web", "--accel", "tcg", "--dry-run")
    shown = qemu_with(*words, "--motto", "onward").out
    assert "/web/motto: a motto\n" in shown
    assert '[plugin.motto]\ntext = "onward"\nuuid = ' in shown
    assert "plugin.motto" not in qemu_with(*words).out
    wrong = qemu_with(*words, "--motto=")
    assert (wrong.rc, wrong.err) == (2, "qemu: error: no motto\n")


@pytest.mark.usefixtures("motto")
def test_its_option_can_have_a_default(qemu_with: Qemu) -> None:
    words = ("create", "web", "--accel", "tcg", "--dry-run")
    shown = qemu_with(*words, QEMU_CLI_CONFIG_CREATE_MOTTO="from settings")
    assert 'text = "from settings"' in shown.out


def test_ours_wins(distributions: Any, qemu_with: Qemu) -> None:
    distributions.add(
        "greedy", {GROUP: {"greed": "greedy:Greedy"}}, {"greedy": SOURCE}
    )
    shown = qemu_with("create", "web", "--accel", "tcg", "--dry-run")
    assert shown.rc == 0
    assert "the options 'greed' of a plug-in are left out" in shown.err
    assert "--memory already" in shown.err
    assert "--greed" not in qemu_with("create", "--help").out


def test_a_broken_one_stops_nothing(
    distributions: Any, qemu_with: Qemu
) -> None:
    distributions.add(
        "ugly", {GROUP: {"ugly": "ugly:Nothing"}}, {"ugly": SOURCE}
    )
    shown = qemu_with("create", "web", "--accel", "tcg", "--dry-run")
    assert shown.rc == 0
    assert "ugly" in shown.err


def test_exclude(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    one, two, three = (
        parser.add_argument(f"--{name}") for name in ("one", "two", "three")
    )
    exclude(parser, one, two, three)
    assert parser.parse_args(["--two=2", "--three=3"]).three == "3"
    for other in ("--two=2", "--three=3"):
        with pytest.raises(SystemExit):
            parser.parse_args(["--one=1", other])
        assert "not allowed with argument --one" in capsys.readouterr().err
    assert "--one" in parser.format_help()
