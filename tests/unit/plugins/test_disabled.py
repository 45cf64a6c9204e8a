"""Plug-ins that are disabled, or made for another API."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.plugins.installed import COMMANDS, EVERYTHING, GOOD, Qemu, rows

TRIPWIRE = "\nimport pathlib; pathlib.Path(__file__ + '.seen').touch()\n"


def test_a_disabled_one_is_neither_offered_nor_imported(
    distributions: Any, qemu_with: Qemu
) -> None:
    distributions.add("good", EVERYTHING, {"good": GOOD + TRIPWIRE})
    seen: Path = distributions.directory / "good.py.seen"
    assert qemu_with("plugin", "disable", "good").err == "good: disabled\n"

    assert rows(qemu_with)["good"]["status"] == "disabled"
    hint = "it is in good 1.0, which is disabled: 'qemu plugin enable good'"
    for words in (
        ("hello",),
        ("say", "hello"),
        ("list", "-f", "nothing"),
    ):
        done = qemu_with(*words)
        assert done.rc == 2, words
        assert hint in done.err
    assert qemu_with("list", "--columns", "loud").rc == 2
    assert "hello" not in qemu_with("help", "--all").out
    assert qemu_with("create", "web", "--accel", "tcg").rc == 0
    assert qemu_with("doctor", "--columns", "check").rc in (0, 1)
    assert qemu_with("plugin", "doctor").rc == 0
    assert not seen.exists()

    for_once = qemu_with("-c", "plugin.disabled=", "hello")
    assert for_once.out == "hello\n"
    assert seen.exists()

    assert qemu_with("plugin", "enable", "good").err == "good: enabled\n"
    assert qemu_with("hello").out == "hello\n"


def test_the_switch_is_a_setting(add_good: None, qemu_with: Qemu) -> None:
    assert qemu_with("plugin", "disable", "Good").rc == 0
    get = ("config", "get", "plugin.disabled")
    assert qemu_with(*get).out == "good\n"
    assert "already" in qemu_with("plugin", "disable", "good").err
    assert qemu_with("plugin", "enable", "good").rc == 0
    assert qemu_with(*get).out == "\n"
    assert "already" in qemu_with("plugin", "enable", "good").err


def test_another_scope_wins_over_the_switch(
    add_good: None, qemu_with: Qemu
) -> None:
    variable = {"QEMU_CLI_CONFIG_PLUGIN_DISABLED": "good"}
    done = qemu_with("plugin", "enable", "good", **variable)
    assert "QEMU_CLI_CONFIG_PLUGIN_DISABLED wins over" in done.err


def test_one_that_is_gone_can_be_enabled(
    add_good: None, qemu_with: Qemu
) -> None:
    assert qemu_with("plugin", "disable", "nosuch").rc == 3
    setting = ("config", "set", "plugin.disabled", "gone")
    assert qemu_with(*setting).rc == 0
    assert "gone" in qemu_with("plugin", "doctor").out
    assert qemu_with("plugin", "enable", "gone").rc == 0
    assert qemu_with("plugin", "doctor").rc == 0
    assert qemu_with("config", "set", "plugin.disabled", "a b/").rc == 2


@pytest.mark.parametrize(
    ("needed", "upgrade"), [("1.999", "qemu-cli"), ("0.9", "good")]
)
def test_one_for_another_api_is_not_imported(
    distributions: Any, qemu_with: Qemu, needed: str, upgrade: str
) -> None:
    api = {"qemu_cli.api": {needed: "good"}}
    distributions.add("good", EVERYTHING | api, {"good": GOOD + TRIPWIRE})
    why = f"good 1.0 needs version {needed} of the plug-in API; qemu-cli "
    for words in (("hello",), ("list", "-f", "nothing")):
        done = qemu_with(*words)
        assert done.rc == 8
        assert why in done.err
        assert f"upgrade {upgrade}, or: qemu plugin disable good" in done.err
    row = rows(qemu_with)["good"]
    assert row["status"] == "broken"
    assert why in row["why"]
    assert qemu_with("plugin", "doctor").rc == 1
    created = qemu_with("create", "web", "--accel", "tcg")
    assert created.rc == 0
    assert why in created.err
    assert not (distributions.directory / "good.py.seen").exists()


def test_one_for_this_api(distributions: Any, qemu_with: Qemu) -> None:
    api = {"qemu_cli.api": {"1.0": "good"}}
    distributions.add("good", EVERYTHING | api, {"good": GOOD})
    assert qemu_with("hello").out == "hello\n"
    shown = qemu_with("plugin", "show", "good", "-f", "json").json
    assert shown["needs_api"] == "1.0"


def test_a_need_that_is_no_version(
    distributions: Any, qemu_with: Qemu
) -> None:
    api = {"qemu_cli.api": {"one": "good"}}
    distributions.add("good", EVERYTHING | api, {"good": GOOD})
    done = qemu_with("hello")
    assert done.rc == 8
    assert "'one' of the plug-in API, which is none" in done.err
    assert rows(qemu_with)["good"]["status"] == "broken"


def test_what_is_deprecated_is_named(
    distributions: Any, qemu_with: Qemu
) -> None:
    old = (
        "from qemu_cli.deprecation import deprecated\n"
        "@deprecated(since='1.2', use='better')\n"
        "def good(): pass\n"
        "good()\n"
    )
    distributions.add(
        "old", {COMMANDS: {"old": "old:Hello"}}, {"old": GOOD + old}
    )
    doctor = qemu_with("plugin", "doctor")
    assert doctor.rc == 0
    assert "old.good is deprecated since API 1.2" in doctor.out
    assert "use better" in doctor.out
    assert qemu_with("old").err == ""
