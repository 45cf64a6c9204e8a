"""Names in images, and who uses a file."""

from pathlib import Path

import pytest

from qemu_cli.storage.dependants import local_files, users_of


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("base.img", ["/d/base.img"]),
        ("../b/base.img", ["/d/../b/base.img"]),
        ("/x/base.img", ["/x/base.img"]),
        ("/x/a:b", ["/x/a:b"]),
        ("./a:b", ["/d/a:b"]),
        ("file:base.img", ["/d/base.img"]),
        ("nbd://host/export", []),
        ("nbd:unix:/run/s", []),
        (
            'json:{"driver":"raw","file":{"driver":"file","filename":"/x"}}',
            ["/x"],
        ),
        ('json:{"driver":"qcow2","file.filename":"x"}', ["/d/x"]),
        ('json:{"driver":"nbd","server":{"type":"unix","path":"/s"}}', []),
        ("json:[1]", []),
        ("json:{", []),
    ],
)
def test_local_files(name: str, files: list[str]) -> None:
    found = local_files(name, Path("/d/overlay.qcow2"))
    assert found == [Path(file) for file in files]


def test_users_are_found_under_any_name(tmp_path: Path) -> None:
    base, other = tmp_path / "base", tmp_path / "other"
    base.touch()
    other.touch()
    hard, soft = tmp_path / "hard", tmp_path / "soft"
    hard.hardlink_to(base)
    soft.symlink_to(base)
    chains = {
        "a": [tmp_path / "gone", base],
        "b": [hard],
        "c": [soft],
        "d": [other],
        "e": [],
    }
    assert users_of(base, chains) == ["a", "b", "c"]


def test_users_of_a_file_that_is_gone(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    chains = {"a": [link / "gone"], "b": [tmp_path / "other"]}
    assert users_of(tmp_path / "gone", chains) == ["a"]
