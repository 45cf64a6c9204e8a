"""What `qemu list` must not import, for it is waited for most often."""

import json
import os
import subprocess
import sys

HEAVY = {
    "asyncio",
    "cmd2",
    "msgspec",
    "pluggy",
    "prettytable",
    "qemu.qmp",
    "rich",
    "tomlkit",
    "tomllib",
    "yaml",
}


def imported(code: str, home) -> set[str]:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{code}\nimport sys, json; print(json.dumps(list(sys.modules)))",
        ],
        env={**os.environ, "QEMU_CLI_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_list_imports_nothing_heavy(tmp_path):
    modules = imported(
        "from qemu_cli.app import main\nassert main(['list']) == 0", tmp_path
    )
    assert "qemu_cli.commands.listing" in modules
    assert "qemu_cli.formatters.table" in modules
    assert modules & HEAVY == set()
    other = {m for m in modules if m.startswith("qemu_cli.commands.")}
    assert other == {"qemu_cli.commands.listing"}
    other = {m for m in modules if m.startswith("qemu_cli.formatters.")}
    assert other == {"qemu_cli.formatters.table"}


def test_no_command_is_heavy_to_import(tmp_path):
    modules = imported(
        "from qemu_cli import extensions\n"
        "for each in extensions.own('qemu_cli.commands').values():\n"
        "    each.load()(None, None).get_parser('qemu x')",
        tmp_path,
    )
    assert modules & {"asyncio", "qemu.qmp", "cmd2", "rich", "yaml"} == set()


def test_help_imports_no_command(tmp_path):
    modules = imported(
        "from qemu_cli.app import main\n"
        "assert main(['help']) == 0 and main([]) == 1",
        tmp_path,
    )
    assert modules & HEAVY == set()
    others = {m for m in modules if m.startswith("qemu_cli.commands.")}
    assert others == {"qemu_cli.commands.help"}


def test_version_imports_nothing_heavy(tmp_path):
    modules = imported(
        "from qemu_cli.app import main\nassert main(['version']) == 0",
        tmp_path,
    )
    assert modules & HEAVY == set()
