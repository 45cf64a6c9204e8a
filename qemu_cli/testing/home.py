"""The installed ``qemu`` executable, with a home of its own."""

import json
import os
import re
import signal
import subprocess
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from qemu_cli.errors import NotFoundError
from qemu_cli.paths import Paths
from qemu_cli.proc import ProcFS, send_signal, wait_exit

#: A guest boots in 7 s under TCG, and the machine may be busy.
TIMEOUT_S = 180.0


class Result(NamedTuple):
    """What a run of the executable left."""

    rc: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The output, parsed."""
        return json.loads(self.out)


class QemuHome:
    """An isolated ``QEMU_CLI_HOME``; calling it runs ``qemu``.

    :param directory: becomes the home; its path must be short
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self.environment = {
            **os.environ,
            "QEMU_CLI_HOME": str(directory),
            # What other tests run at the same time is none of ours.
            "QEMU_CLI_CONFIG_LIST_FOREIGN": "no",
        }
        self.paths = Paths.from_environment(self.environment)  # type: ignore[arg-type]
        self.executable = Path(sysconfig.get_path("scripts"), "qemu")

    def __call__(
        self,
        *words: str | Path,
        stdin: str = "",
        environment: Mapping[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Result:
        """Run ``qemu`` with these words and wait for it."""
        done = subprocess.run(
            [self.executable, *words],
            input=stdin,
            capture_output=True,
            text=True,
            env={**self.environment, **(environment or {})},
            timeout=timeout_s,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def close(self) -> None:
        """Kill everything that was started from this home.

        The home's path is in the argv of each, and in nobody else's.
        """
        procfs = ProcFS()
        for process in procfs.processes(re.compile(r"qemu.*|swtpm|python.*")):
            if any(str(self.directory) in word for word in process.argv):
                try:
                    pidfd = procfs.open_pidfd(process)
                except NotFoundError:
                    continue
                try:
                    send_signal(pidfd, signal.SIGKILL)
                    wait_exit(pidfd, 10.0)
                finally:
                    os.close(pidfd)
