"""paths: one name for each file, however one comes to it."""

import os
from pathlib import Path

import pytest

from qemu_cli.paths import SOCKET_PATH_MAX, Paths


def paths(**environ: str) -> Paths:
    return Paths.from_environment(environ)  # type: ignore[arg-type]


def test_one_home_for_everything(tmp_path: Path) -> None:
    found = paths(QEMU_CLI_HOME=str(tmp_path))
    assert found.instances == tmp_path / "instances"
    assert found.runtime == tmp_path / "run"
    assert found.cache == tmp_path / "cache"
    assert found.user_config == tmp_path / "config.toml"


def test_the_xdg_directories(tmp_path: Path) -> None:
    home = str(tmp_path)
    found = paths(HOME=home, XDG_DATA_HOME="/d", XDG_CACHE_HOME="relative")
    assert found.instances == Path("/d/qemu-cli/instances")
    assert found.runtime == tmp_path / ".local/state/qemu-cli/run"
    assert found.cache == tmp_path / ".cache/qemu-cli"
    assert found.user_config == tmp_path / ".config/qemu-cli/config.toml"


def test_the_same_whatever_way_one_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    monkeypatch.chdir(tmp_path)
    wanted = paths(QEMU_CLI_HOME=str(real)).instances
    for way in ("real", "link", f"{tmp_path}/link/../real", f"{real}/"):
        assert paths(QEMU_CLI_HOME=way).instances == wanted
    data = paths(HOME="/", XDG_DATA_HOME=str(tmp_path / "link")).instances
    assert data == real / "qemu-cli/instances"


@pytest.mark.parametrize("length", [1, 20, 64])
@pytest.mark.parametrize("depth", [5, 30, 60])
def test_sockets_fit_or_have_a_short_directory(
    length: int, depth: int
) -> None:
    root = Path("/" + "d" * depth)
    found = Paths(data=root, state=root, cache=root, config=root)
    one, other = found.instance("a" * length), found.instance("b" * length)
    assert one.runtime != other.runtime
    longest = max(len(os.fsencode(p)) for p in one.follower_sockets)
    assert longest <= SOCKET_PATH_MAX
    if len(f"{root}/run/{'a' * length}/follower1.sock") <= SOCKET_PATH_MAX:
        assert one.runtime.name == "a" * length


def test_no_two_files_of_an_instance_are_one(tmp_path: Path) -> None:
    one = paths(QEMU_CLI_HOME=str(tmp_path)).instance("web")
    kind = type(one)
    files = [
        getattr(one, name)
        for name, value in vars(kind).items()
        if isinstance(value, property) and isinstance(getattr(one, name), Path)
    ]
    assert len(set(files)) == len(files) > 15
    assert one.name == "web"
