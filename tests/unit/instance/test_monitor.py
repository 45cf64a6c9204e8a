"""What a line at the monitor's prompt is, before it is sent."""

import pytest

from qemu_cli.instance.monitor import ends_qemu, human, is_secret


@pytest.mark.parametrize(
    ("line", "command_line"),
    [
        ("hmp info block", "info block"),
        (" hmp  x ", "x"),
        ("hmp", ""),
        ("hmpx", None),
        ("stop", None),
    ],
)
def test_the_human_monitor(line, command_line):
    assert human(line) == command_line


@pytest.mark.parametrize(
    ("line", "ends"),
    [
        ("quit", True),
        ('{"execute": "quit"}', True),
        ("hmp q", True),
        ("hmp quit", True),
        ("hmp info status", False),
        ("query-status", False),
        ("quit'", False),
        ("{", False),
    ],
)
def test_what_ends_qemu(line, ends):
    assert ends_qemu(line) is ends


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ("set_password protocol=vnc password=x", True),
        ("object-add qom-type=secret id=s data=x", True),
        ('{"execute":"x","arguments":{"password":"p"}}', True),
        ('set_password password="x', True),
        ("hmp set_password vnc x", True),
        ("hmp info block", False),
        ("block_resize node-name=a size=1", False),
        ("?set_password", False),
    ],
)
def test_what_the_history_must_not_have(line, secret):
    assert is_secret(line) is secret
