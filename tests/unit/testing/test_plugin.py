"""The fixtures that plug-in authors get: what they promise at the end."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qemu_cli.testing.home import QemuHome


def run_pytest(directory: Path, code: str, **environment: str):
    """Run tests in a pytest of their own."""
    (directory / "test_inner.py").write_text(code)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", "."],
        cwd=directory,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_missing_guest_fails_and_is_not_skipped(tmp_path):
    code = "def test(tiny_guest): pass"
    nowhere = str(tmp_path / "nowhere")
    done = run_pytest(tmp_path, code, QEMU_CLI_TEST_GUEST=nowhere)
    assert done.returncode == 1
    assert "no test guest" in done.stdout
    assert "skipped" not in done.stdout


def test_the_guest_is_where_the_environment_says(tmp_path):
    for name in ("vmlinuz", "initrd.gz"):
        (tmp_path / name).touch()
    code = "def test(tiny_guest): assert tiny_guest.kernel.is_file()"
    done = run_pytest(tmp_path, code, QEMU_CLI_TEST_GUEST=str(tmp_path))
    assert done.returncode == 0, done.stdout


def test_a_home_is_used_and_ends_what_it_started(short_dir):
    home = QemuHome(short_dir)
    assert home.paths.instances.is_relative_to(short_dir)
    # It has the home in its argv, as a QEMU of ours has.
    code = "import time; time.sleep(1000)"
    with (
        subprocess.Popen(
            [sys.executable, "-c", code, str(short_dir / "x")]
        ) as ours,
        subprocess.Popen([sys.executable, "-c", code, "elsewhere"]) as other,
    ):
        try:
            time.sleep(0.2)  # until both have done their exec
            home.close()
            assert ours.wait(30) != 0
            assert other.poll() is None
        finally:
            ours.kill()
            other.kill()


def test_fakes_answer_only_what_they_were_told(fake_qmp):
    fake = fake_qmp()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(fake.path)
        lines = client.makefile("rb")
        assert b"QMP" in lines.readline()
        client.sendall(b'{"execute": "nosuch", "id": 1}')
        assert b"CommandNotFound" in lines.readline()
        fake.hang_up()
        assert lines.readline() == b""
        lines.close()


@pytest.mark.parametrize("name", ["short_dir", "fake_qmp", "fake_agent"])
def test_paths_leave_room_for_sockets(request, name):
    made = request.getfixturevalue(name)
    path = made if isinstance(made, Path) else made().path
    assert len(str(path)) < 60
