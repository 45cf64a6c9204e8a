"""holders: real processes, and a fake tree for what they can't show."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from qemu_cli.errors import BusyError, ToolError
from qemu_cli.proc import ProcFS
from qemu_cli.storage import holders

OPENER = """
import os, sys, time
for mode in sys.argv[1].split(","):
    os.open(sys.argv[2], getattr(os, mode))
print("open", flush=True)
time.sleep(600)
"""


@pytest.fixture
def opener():
    """Start processes that open a file in some modes."""
    started = []

    def start(modes, path):
        process = subprocess.Popen(
            [sys.executable, "-c", OPENER, modes, path],
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout.readline() == "open\n"
        return process.pid

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_who_has_a_file_open(opener, tmp_path):
    image, other = tmp_path / "image", tmp_path / "other"
    image.touch()
    other.touch()
    link = tmp_path / "link"
    os.link(image, link)
    reader, writer = opener("O_RDONLY", image), opener("O_RDWR", link)
    opener("O_RDONLY", other)
    found = holders.holders(image)
    assert sorted((each.pid, each.writes) for each in found) == sorted(
        [(reader, False), (writer, True)]
    )
    program = Path(sys.executable).name
    assert {str(each) for each in found} == {
        f"{program} (pid {reader})",
        f"{program} (pid {writer})",
    }


@pytest.mark.parametrize("modes", ["O_RDONLY,O_RDWR", "O_WRONLY,O_RDONLY"])
def test_a_process_stands_there_once_and_as_the_writer(
    opener, tmp_path, modes
):
    (tmp_path / "image").touch()
    pid = opener(modes, tmp_path / "image")
    [holder] = holders.holders(tmp_path / "image")
    assert (holder.pid, holder.writes) == (pid, True)


def test_nobody_has_it(tmp_path):
    (tmp_path / "image").touch()
    assert holders.holders(tmp_path / "image") == []
    assert holders.holders(tmp_path / "missing") == []


def test_many_images_with_one_look(opener, tmp_path):
    images = [tmp_path / name for name in "abc"]
    for image in images:
        image.touch()
    pid = opener("O_RDONLY", images[1])
    [(image, [holder])] = holders.of_each(images).items()
    assert (image, holder.pid) == (images[1], pid)


def test_a_process_that_ends_meanwhile(tmp_path):
    image = tmp_path / "image"
    image.touch()
    directory = tmp_path / "proc/7/fd"
    directory.mkdir(parents=True)
    (directory / "3").symlink_to(image)
    (directory / "4").symlink_to(tmp_path / "closed")
    procfs = ProcFS(tmp_path / "proc")
    assert holders.holders(image, procfs=procfs) == []


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["-name", "web"], "web"),
        (["-name", "guest=web,debug-threads=on"], "web"),
        (["-name", "debug-threads=on,guest=web"], "web"),
        (["-name", "guest=a,,b,process=x"], "a,b"),
        (["-m", "64"], None),
        (["-name"], None),
    ],
)
def test_the_name_of_a_vm(words, name):
    assert holders.vm_name(["qemu-system-x86_64", *words]) == name


def test_a_lock_is_explained_by_its_holder(opener, tmp_path):
    image = tmp_path / "image"
    image.touch()
    pid = opener("O_RDWR", image)
    said = ToolError(
        f"qemu-img failed: Could not open '{tmp_path / 'top'}': "
        'Failed to get shared "write" lock\n'
        f"Is another process using the image [{image}]?"
    )
    with (
        pytest.raises(BusyError, match=re.escape(str(image))) as raised,
        holders.naming(tmp_path / "top"),
    ):
        raise said
    assert f"(pid {pid})" in str(raised.value)
    over_qmp = ToolError('blockdev-add: Failed to get "write" lock')
    better = holders.explained(over_qmp, tmp_path / "none", image)
    assert str(better) == str(raised.value)


def test_a_lock_of_somebody_whom_we_may_not_see(tmp_path):
    said = ToolError('Failed to get "consistent read" lock')
    assert "may not look at" in str(holders.explained(said, tmp_path / "i"))


def test_another_error_stays_as_it_is():
    said = ToolError("qemu-img failed: no space left")
    with pytest.raises(ToolError) as raised, holders.naming():
        raise said
    assert raised.value is said
