"""Runs the real program: the plug-in must be installed beside it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from qemu_cli_hello import hooks

from qemu_cli.hookspecs import VMFacts


@pytest.fixture
def qemu(tmp_path, monkeypatch):
    monkeypatch.setenv("QEMU_CLI_HOME", str(tmp_path))

    def run(*words: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "qemu_cli", *words],
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        ).stdout

    return run


def test_it_greets_an_instance(qemu):
    qemu("create", "web", "--accel", "tcg")
    rows = json.loads(qemu("hello", "web", "--word", "hi", "-f", "json"))
    assert rows[0]["name"] == "web"
    assert rows[0]["result"] == {"greeting": "hi, stopped VM"}


def test_list_has_the_column(qemu):
    qemu("create", "web", "--accel", "tcg")
    out = qemu("list", "web", "--columns", "name,greeting", "-f", "csv")
    assert out == 'name,greeting\nweb,"hello, web"\n'


def facts(word: object) -> VMFacts:
    return VMFacts(
        name="web",
        directory=Path("/nowhere"),
        uuid="",
        arch="x86_64",
        machine="q35",
        plugin={"hello": {"word": word}},
    )


def test_the_hook_adds_its_word():
    arguments = hooks.qemu_cli_add_arguments(vm=facts("salut, web"))
    assert arguments == [
        "-fw_cfg",
        "name=opt/org.example.hello,string=salut,, web",
    ]


def test_the_word_is_on_the_command_line(qemu):
    qemu("create", "web", "--accel", "tcg")
    command_line = qemu("start", "web", "--dry-run")
    assert "name=opt/org.example.hello,string=hello" in command_line


def test_the_hook_checks_its_table():
    assert hooks.qemu_cli_check_definition(vm=facts("salut")) == []
    assert hooks.qemu_cli_check_definition(vm=facts(3))
