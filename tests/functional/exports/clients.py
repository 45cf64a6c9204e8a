"""Clients of exports."""

import subprocess
from pathlib import Path


def run(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        words, capture_output=True, text=True, timeout=60, check=False
    )


def read(uri: str, pattern: int, where: str) -> bool:
    done = run(
        "qemu-io", "-r", "-f", "raw", "-c", f"read -P {pattern} {where}", uri
    )
    return done.returncode == 0 and "verification failed" not in done.stdout
