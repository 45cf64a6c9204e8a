"""The text of systemd units."""

from pathlib import Path

import pytest

from qemu_cli.instance.unit import Unit, quoted

UNIT = Unit(
    name="web",
    program=Path("/opt/my tools/bin/qemu"),
    pid_file=Path("/home/me/100% vms/web/qemu.pid"),
    shutdown_s=60.5,
    environment={"QEMU_CLI_HOME": '/home/me/a "b"'},
)


def test_a_unit_of_the_user():
    lines = UNIT.text().splitlines()
    assert "PIDFile=/home/me/100%% vms/web/qemu.pid" in lines
    assert 'ExecStart="/opt/my tools/bin/qemu" start web' in lines
    assert 'Environment="QEMU_CLI_HOME=/home/me/a \\"b\\""' in lines
    assert "WantedBy=default.target" in lines
    assert not [line for line in lines if line.startswith("User=")]


def test_a_unit_of_the_host():
    lines = UNIT._replace(user="me").text().splitlines()
    assert "User=me" in lines
    assert "WantedBy=multi-user.target" in lines


def test_systemd_waits_longer_than_the_guest_may_take():
    text = UNIT.text()
    assert "shutdown --force --timeout 61s web" in text
    assert "TimeoutStopSec=91s" in text


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("a b", '"a b"'),
        ('a"b', '"a\\"b"'),
        ("a\\b", '"a\\\\b"'),
        ("50%", '"50%%"'),
        ("$HOME", '"$$HOME"'),
    ],
)
def test_words_of_a_command(word, said):
    assert quoted(word, command=True) == said


def test_a_dollar_is_no_variable_in_an_environment():
    assert quoted("A=$B") == '"A=$B"'
