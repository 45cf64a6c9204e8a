"""The check that the tests leave no process behind does find one."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "none_left.py"


def none_left(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, *command],
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_names_and_ends_a_detached_process(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    result = none_left(
        "sh", "-c", f"setsid sleep 600 >&- 2>&- & echo $! >{pid_file}"
    )
    pid = int(pid_file.read_text())
    assert result.returncode == 1
    assert f"process {pid}: sleep 600" in result.stderr
    assert not running(pid)


def running(pid: int) -> bool:
    try:
        # A process that has ended, but is not reaped, has no command line.
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except FileNotFoundError:
        return False


def test_passes_the_exit_code() -> None:
    assert none_left("sh", "-c", "exit 5").returncode == 5
    assert none_left("true").returncode == 0
