"""Archives that a guest could send; the work is done on real files."""

import io
import tarfile

import pytest
from qemu_cli_guest.unpack import Unpacker

from qemu_cli.errors import QemuCliError


def archive(*members):
    """An archive: (name, type, content or link, mode) each."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, kind, what, *mode in members:
            info = tarfile.TarInfo(name)
            info.type, info.mtime = kind, 1_000_000_000
            info.mode = mode[0] if mode else 0o644
            info.uid = info.gid = 4321
            if kind == tarfile.REGTYPE:
                info.size = len(what)
                tar.addfile(info, io.BytesIO(what))
            else:
                info.linkname = what
                tar.addfile(info)
    stream.seek(0)
    return stream


def unpack(to, *members):
    with tarfile.open(fileobj=archive(*members), mode="r|") as tar:
        unpacker = Unpacker(tar, "top", to)
        for info in tar:
            unpacker.take(info)
        unpacker.finish()


FILE, DIRECTORY = tarfile.REGTYPE, tarfile.DIRTYPE
SYMLINK, LINK = tarfile.SYMTYPE, tarfile.LNKTYPE


def test_a_tree(tmp_path):
    to = tmp_path / "new name"
    unpack(
        to,
        ("top", DIRECTORY, "", 0o555),
        ("top/a", FILE, b"a", 0o6775),
        ("top/b", LINK, "top/a"),
        ("top/c", SYMLINK, "/nowhere"),
        ("top/fifo", tarfile.FIFOTYPE, ""),
    )
    assert sorted(path.name for path in to.iterdir()) == ["a", "b", "c"]
    assert (to / "a").read_bytes() == b"a"
    assert (to / "a").stat().st_mode & 0o7777 == 0o775
    assert (to / "a").stat().st_mtime == 1_000_000_000
    assert (to / "a").owner() == tmp_path.owner()
    assert (to / "b").samefile(to / "a")
    assert str((to / "c").readlink()) == "/nowhere"
    assert to.stat().st_mode & 0o777 == 0o555
    assert to.stat().st_mtime == 1_000_000_000


def test_what_was_there_goes(tmp_path):
    (tmp_path / "other").write_bytes(b"other")
    to = tmp_path / "to"
    to.symlink_to("other")
    unpack(to, ("top", FILE, b"mine"))
    assert to.read_bytes() == b"mine"
    assert (tmp_path / "other").read_bytes() == b"other"


def test_a_device_stays(tmp_path):
    to = tmp_path / "null"
    to.symlink_to("/dev/null")
    unpack(to, ("top", FILE, b"gone"))
    assert to.is_symlink()
    assert list(tmp_path.iterdir()) == [to]


@pytest.mark.parametrize(
    "members",
    [
        [("/out", FILE, b"x")],
        [("other", FILE, b"x")],
        [("top", DIRECTORY, ""), ("top/../out", FILE, b"x")],
        [("top", SYMLINK, "{out}"), ("top/new", FILE, b"x")],
        [("top", SYMLINK, "{out}"), ("top", DIRECTORY, "", 0o700)],
        [
            ("top", DIRECTORY, ""),
            ("top/a", SYMLINK, "{out}"),
            ("top/a/new", FILE, b"x"),
        ],
        [
            ("top", DIRECTORY, ""),
            ("top/a", SYMLINK, "{out}"),
            ("top/a", DIRECTORY, "", 0o700),
        ],
        [("top", DIRECTORY, ""), ("top/a", LINK, "{out}/old")],
        [("top", DIRECTORY, ""), ("top/a", LINK, "top/../../out/old")],
    ],
)
def test_nothing_outside(tmp_path, members):
    out = tmp_path / "out"
    out.mkdir(0o711)
    (out / "old").write_bytes(b"old")
    here = tmp_path / "here"
    here.mkdir()
    members = [
        (n, k, w, *m) if k == FILE else (n, k, w.format(out=out), *m)
        for n, k, w, *m in members
    ]
    with pytest.raises(QemuCliError, match=r"refused|is a link"):
        unpack(here / "to", *members)
    assert [path.name for path in out.iterdir()] == ["old"]
    assert (out / "old").stat().st_nlink == 1
    assert out.stat().st_mode & 0o777 == 0o711
    assert [
        path.name
        for path in tmp_path.iterdir()
        if path.name not in ("out", "here")
    ] == []


def test_a_file_over_a_link_takes_its_place(tmp_path):
    (tmp_path / "old").write_bytes(b"old")
    to = tmp_path / "to"
    unpack(
        to,
        ("top", DIRECTORY, "", 0o755),
        ("top/a", SYMLINK, "../old"),
        ("top/a", FILE, b"new"),
    )
    assert (to / "a").read_bytes() == b"new"
    assert (tmp_path / "old").read_bytes() == b"old"
