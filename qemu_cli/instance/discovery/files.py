"""The files of a VM that somebody else started, as we reach them.

A name that QEMU tells is that of its own working directory, and of its
own mounts.
"""

import re
from pathlib import Path

from qemu_cli.instance.vm import VM
from qemu_cli.proc import ProcFS
from qemu_cli.proc.view import View

#: What names no file: ``nbd://…``, ``json:{…}``.
_ELSEWHERE = re.compile(r"[a-z0-9+-]+:|$")


def full_name(vm: VM, name: str) -> str:
    """Return the whole name of a file, as its VM has it.

    :param name: as QEMU tells it; what we find no file of stays as it is
    """
    if vm.process is None or _ELSEWHERE.match(name) or name.startswith("/"):
        return name
    view = View(ProcFS(), vm.process.pid)
    now, first = view.directory(), view.first_directory()
    # -daemonize went to the directory / after the images were opened.
    names = [f"{each.rstrip('/')}/{name}" for each in (now, first) if each]
    there = (each for each in names if Path(view.path(each)).exists())
    return next(there, name)


def outside(vm: VM, name: str) -> Path | None:
    """Return a path by which we reach a file of a VM.

    :param name: as :func:`full_name` has it
    :return: None: its process is not here, or it is no file's name
    """
    if vm.process is None or not name.startswith("/"):
        return None
    return Path(View(ProcFS(), vm.process.pid).path(name))
