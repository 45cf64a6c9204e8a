"""``qemu version --all`` asks the programs themselves."""

import subprocess

from qemu_cli.testing.home import QemuHome


def test_the_versions_are_those_of_the_programs(qemu_home: QemuHome) -> None:
    rows = qemu_home("version", "--all", "-f", "json").json["qemu"]
    assert rows
    for row in rows:
        said = subprocess.run(
            [row["path"], "--version"],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        assert f"version {row['version']}" in said
