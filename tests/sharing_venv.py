"""Make a virtual environment that sees what is in ours, in half a second.

::

    python tests/sharing_venv.py DIRECTORY [PACKAGE…]

It has this Python, all distributions of the environment that runs this,
an executable ``qemu`` of its own, and what is installed into it: each
PACKAGE is a source directory, installed without what it depends on where
that is here already.
"""

import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

_QEMU = """#!{python}
from qemu_cli.__main__ import main

raise SystemExit(main())
"""


def make(directory: Path) -> Path:
    """Make it, anew.

    :return: its Python
    """
    shutil.rmtree(directory, ignore_errors=True)
    venv.create(directory, symlinks=True)
    python = directory / "bin/python"
    ours = sysconfig.get_path("purelib")
    (site,) = directory.glob("lib/python*/site-packages")
    # Not only the path: what is editable there has .pth files, too.
    (site / "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
    qemu = directory / "bin/qemu"
    qemu.write_text(_QEMU.format(python=python))
    qemu.chmod(0o755)
    return python


def install(python: Path, *packages: Path, extra: str = "") -> None:
    """Install source directories with our pip.

    A copy of each is built: nothing is left beside the source.

    :raise subprocess.CalledProcessError: it can't be installed
    """
    build = python.parents[1] / "src"
    for package in packages:
        source = build / package.resolve().name
        ignore = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
        shutil.copytree(package, source, ignore=ignore)
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "--python", python),
                *("install", "-q", "--no-build-isolation", f"{source}{extra}"),
            ],
            check=True,
        )


if __name__ == "__main__":
    install(make(Path(sys.argv[1]).resolve()), *map(Path, sys.argv[2:]))
