"""Image queries against the real qemu-img."""

import asyncio
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qemu_cli.errors import (
    NotFoundError,
    QemuCliError,
    ToolError,
    UsageError,
)
from qemu_cli.steps import run_tool
from qemu_cli.storage import convert, images
from qemu_cli.storage import qemu_img as command_lines
from qemu_cli.storage.images import ImageInfo

MIB = 1 << 20


def run(*argv: str) -> str:
    return asyncio.run(run_tool(argv))


def probe(qemu_img: str, path: Path, **options) -> ImageInfo:
    return asyncio.run(images.probe(qemu_img, path, **options))


def create(qemu_img: str, path: Path, format: str = "qcow2") -> Path:
    run(*command_lines.create_argv(qemu_img, path, MIB, format))
    return path


def overlay(qemu_img: str, path: Path, backing: Path, format: str) -> Path:
    argv = command_lines.create_overlay_argv(qemu_img, path, backing, format)
    run(*argv)
    return path


@pytest.mark.parametrize(
    "format", ["qcow2", "raw", "vmdk", "vdi", "vhdx", "vpc", "qed"]
)
def test_probe_finds_the_format(
    qemu_img: str, tmp_path: Path, format: str
) -> None:
    image = create(qemu_img, tmp_path / "image", format)
    found = probe(qemu_img, image)
    assert found.format == format
    assert found.path == str(image)
    assert found.virtual_size_bytes >= MIB
    assert found.actual_size_bytes >= 0
    assert (found.backing_file, found.data_file) == (None, None)


@pytest.mark.parametrize("name", ["nbd:x", "-f", "a,b", "json:{}", "ü %s'"])
def test_awkward_names(qemu_img: str, tmp_path: Path, name: str) -> None:
    image = create(qemu_img, tmp_path / name)
    top = overlay(qemu_img, tmp_path / f"{name}.top", image, "qcow2")
    found = probe(qemu_img, top, trusted=True)
    assert found.backing_file == str(image)


def test_relative_path(qemu_img: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    create(qemu_img, Path("nbd:x"))
    assert probe(qemu_img, Path("nbd:x")).path == str(tmp_path / "nbd:x")


def test_stored_raw_stays_raw(qemu_img: str, tmp_path: Path) -> None:
    """What a guest wrote into its raw disk is not looked at."""
    image = create(qemu_img, tmp_path / "disk")
    overlay(qemu_img, tmp_path / "top", image, "qcow2")
    evil = tmp_path / "top"
    assert asyncio.run(images.info(qemu_img, evil)).backing_file == str(image)
    as_raw = asyncio.run(images.info(qemu_img, evil, format="raw"))
    assert (as_raw.format, as_raw.backing_file) == ("raw", None)
    assert probe(qemu_img, evil, format="raw").format == "raw"


def test_backing_file_needs_trust(qemu_img: str, tmp_path: Path) -> None:
    base = create(qemu_img, tmp_path / "base")
    top = overlay(qemu_img, tmp_path / "top", base, "qcow2")
    with pytest.raises(UsageError, match=str(base)) as refusal:
        probe(qemu_img, top)
    assert "--trust-image" in (refusal.value.hint or "")
    trusted = probe(qemu_img, top, trusted=True)
    assert trusted.backing_file == str(base)
    assert trusted.backing_format == "qcow2"


def test_data_file_needs_trust(qemu_img: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    image = tmp_path / "image"
    run(
        *(qemu_img, "create", "-q", "-f", "qcow2"),
        *("-o", f"data_file={data}", str(image), "1M"),
    )
    with pytest.raises(UsageError, match=str(data)) as refusal:
        probe(qemu_img, image)
    assert "--trust-image" in (refusal.value.hint or "")
    assert probe(qemu_img, image, trusted=True).data_file == str(data)


def test_data_file_is_refused_before_anybody_opens_it(
    qemu_img: str, tmp_path: Path
) -> None:
    """A FIFO as the data file would hold qemu-img for ever."""
    data = tmp_path / "data"
    image = tmp_path / "image"
    run(
        *(qemu_img, "create", "-q", "-f", "qcow2"),
        *("-o", f"data_file={data}", str(image), "1M"),
    )
    data.unlink()
    os.mkfifo(data)
    start_s = time.monotonic()
    with pytest.raises(UsageError, match="keeps its data"):
        probe(qemu_img, image)
    assert time.monotonic() - start_s < 5


def test_flat_vmdk_needs_trust(qemu_img: str, tmp_path: Path) -> None:
    image = tmp_path / "disk.vmdk"
    run(
        *(qemu_img, "create", "-q", "-f", "vmdk"),
        *("-o", "subformat=monolithicFlat", str(image), "1M"),
    )
    with pytest.raises(UsageError, match=r"disk-flat\.vmdk"):
        probe(qemu_img, image)
    assert probe(qemu_img, image, trusted=True).format == "vmdk"


def test_missing(qemu_img: str, tmp_path: Path) -> None:
    for path in (tmp_path / "gone", create(qemu_img, tmp_path / "f") / "x"):
        with pytest.raises(NotFoundError, match=str(path)):
            probe(qemu_img, path)


def test_directory(qemu_img: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a directory"):
        probe(qemu_img, tmp_path)


def test_fifo_does_not_hang(qemu_img: str, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(UsageError, match="special file"):
        probe(qemu_img, fifo)


def test_empty(qemu_img: str, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(UsageError, match="empty"):
        probe(qemu_img, tmp_path / "empty")


def test_text_is_no_image_unless_the_user_says_raw(
    qemu_img: str, tmp_path: Path
) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("remember the milk\n")
    with pytest.raises(UsageError, match=str(text)) as refusal:
        probe(qemu_img, text)
    assert "format=raw" in (refusal.value.hint or "")
    assert probe(qemu_img, text, format="raw").format == "raw"


def test_wrong_format_said(qemu_img: str, tmp_path: Path) -> None:
    image = create(qemu_img, tmp_path / "image", "raw")
    with pytest.raises(ToolError, match="not in qcow2 format"):
        probe(qemu_img, image, format="qcow2")


def test_damaged_header(qemu_img: str, tmp_path: Path) -> None:
    image = create(qemu_img, tmp_path / "image")
    with image.open("r+b") as stream:
        stream.truncate(90)
    with pytest.raises(QemuCliError, match=str(image)):
        probe(qemu_img, image)


_AS_NOBODY = """
import asyncio, os, sys
from pathlib import Path
from qemu_cli.errors import QemuCliError
from qemu_cli.storage import convert, images
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    asyncio.run(images.probe(sys.argv[1], Path(sys.argv[2])))
except QemuCliError as error:
    print(error)
"""


def test_unreadable(qemu_img: str, tmp_path: Path) -> None:
    """In a process of its own: root can read everything."""
    image = create(qemu_img, tmp_path / "image")
    image.chmod(0)
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_uid == os.getuid() and parent.name:
            parent.chmod(stat.S_IMODE(parent.stat().st_mode) | 0o011)
        if parent.name.startswith("pytest-of-"):
            break
    done = subprocess.run(
        [sys.executable, "-c", _AS_NOBODY, qemu_img, str(image)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "can't be read: Permission denied" in done.stdout


def test_snapshots_are_listed(qemu_img: str, tmp_path: Path) -> None:
    image = create(qemu_img, tmp_path / "image")
    before_s = int(time.time())
    run(qemu_img, "snapshot", "-c", "first", str(image))
    (snapshot,) = probe(qemu_img, image).snapshots
    assert (snapshot.id, snapshot.name) == ("1", "first")
    assert before_s <= snapshot.date_s <= time.time()
    assert snapshot.vm_state_size_bytes == 0


def test_chain(qemu_img: str, tmp_path: Path) -> None:
    base = create(qemu_img, tmp_path / "base", "raw")
    middle = overlay(qemu_img, tmp_path / "middle", base, "raw")
    top = overlay(qemu_img, tmp_path / "top", middle, "qcow2")
    found = asyncio.run(images.chain(qemu_img, top, format="qcow2"))
    assert [(each.path, each.format) for each in found] == [
        (str(top), "qcow2"),
        (str(middle), "qcow2"),
        (str(base), "raw"),
    ]
    base.unlink()
    with pytest.raises(ToolError, match="No such file"):
        asyncio.run(images.chain(qemu_img, top, format="qcow2"))


def test_convert_tells_how_far_it_is(qemu_img: str, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(4 * MIB))
    seen: list[float] = []
    asyncio.run(
        convert.convert(
            *(qemu_img, source, "raw", target, "qcow2"),
            progress=lambda done, total: seen.append(done / total),
        )
    )
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)
    run(qemu_img, "compare", "-s", str(source), str(target))
    assert probe(qemu_img, target).format == "qcow2"


def test_failed_convert_leaves_nothing(qemu_img: str, tmp_path: Path) -> None:
    target = tmp_path / "target"
    with pytest.raises(ToolError, match="No such file"):
        asyncio.run(
            convert.convert(
                *(qemu_img, tmp_path / "gone", "raw", target, "qcow2"),
                progress=lambda done, total: None,
            )
        )
    assert not target.exists()


def test_cancelled_convert_leaves_no_file_and_no_process(
    qemu_img: str, tmp_path: Path
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    with source.open("wb") as stream:
        for _ in range(64):
            stream.write(os.urandom(MIB))

    async def cancel_when_begun() -> None:
        begun = asyncio.Event()
        task = asyncio.create_task(
            convert.convert(
                *(qemu_img, source, "raw", target, "qcow2"),
                progress=lambda done, total: begun.set(),
            )
        )
        await asyncio.wait_for(begun.wait(), 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel_when_begun())
    assert not target.exists()
    assert not [
        pid
        for pid in Path("/proc").glob("[0-9]*/cmdline")
        if str(target).encode() in _read(pid)
    ]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_plan_commands_do_what_they_say(qemu_img: str, tmp_path: Path) -> None:
    base = create(qemu_img, tmp_path / "base")
    top = overlay(qemu_img, tmp_path / "top", base, "qcow2")
    run(*command_lines.resize_argv(qemu_img, top, "qcow2", 2 * MIB))
    assert probe(qemu_img, top, trusted=True).virtual_size_bytes == 2 * MIB
    with pytest.raises(ToolError, match="shrink"):
        run(*command_lines.resize_argv(qemu_img, top, "qcow2", MIB))
    run(
        *command_lines.resize_argv(qemu_img, top, "qcow2", MIB, shrink=True),
    )
    assert probe(qemu_img, top, trusted=True).virtual_size_bytes == MIB

    copy = tmp_path / "copy"
    run(*command_lines.copy_argv(base, copy))
    assert copy.read_bytes() == base.read_bytes()
    run(
        *command_lines.rebase_argv(qemu_img, top, copy, "qcow2", unsafe=True),
    )
    assert probe(qemu_img, top, trusted=True).backing_file == str(copy)
    base.unlink()
    run(*command_lines.commit_argv(qemu_img, top, "qcow2"))
    run(*command_lines.check_argv(qemu_img, top, "qcow2"))
    for path in (top, copy):
        assert path.exists()


def test_relative_backing_moves_with_its_directory(
    qemu_img: str, tmp_path: Path
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    create(qemu_img, old / "base")
    overlay(qemu_img, old / "top", Path("base"), "qcow2")
    old.rename(new)
    found = probe(qemu_img, new / "top", trusted=True)
    assert Path(found.backing_file or "").samefile(new / "base")
