"""What setup.cfg can't say: man pages and completions are made, not kept.

They come from the commands themselves, so those are imported when the
package is built; that needs cliff and msgspec, see pyproject.toml.
"""

import os
import subprocess
import sys
from pathlib import Path

from setuptools import setup  # isort: skip  brings its own distutils
from distutils.command.install_data import install_data

ROOT = Path(__file__).resolve().parent

MAKE = """
import sys
from pathlib import Path
from qemu_cli import completion
from qemu_cli.app import QemuApp
from qemu_cli.manual import man

base = Path(sys.argv[1])
parser = QemuApp().parser
for section in "17":
    (base / f"share/man/man{section}").mkdir(parents=True, exist_ok=True)
for name, text in man.pages(parser):
    (base / f"share/man/man{name[-1]}" / name).write_text(text, "utf-8")
for shell, place in completion.PLACES.items():
    script = base / place
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(completion.script(shell, parser), "utf-8")
"""


class InstallData(install_data):
    """Install what the program makes of itself."""

    def run(self) -> None:
        """Make it, and install it below ``share``."""
        made = Path(self.get_finalized_command("build").build_base, "data")
        # Our entry points are those of this source, installed or not.
        info = Path(self.get_finalized_command("egg_info").egg_info)
        path = [str(ROOT), str(info.parent.resolve())]
        path += filter(None, [os.environ.get("PYTHONPATH")])
        done = subprocess.run(
            [sys.executable, "-c", MAKE, str(made.resolve())],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(path),
                "COLUMNS": "80",
            },
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            # A program without its man pages is better than none.
            said = done.stderr.strip().rpartition("\n")[2]
            self.warn(f"no man pages and no completions: {said}")
        files = [file for file in made.rglob("*") if file.is_file()]
        self.data_files = [
            (str(file.parent.relative_to(made)), [str(file)]) for file in files
        ]
        super().run()


setup(
    cmdclass={"install_data": InstallData},
    # Without any, setuptools would not run that command.
    data_files=[("share/doc/qemu-cli", ["README.md"])],
)
