"""Where QEMU's programs are."""

from pathlib import Path

import pytest

from qemu_cli.config import Config
from qemu_cli.errors import NotFoundError
from qemu_cli.storage import tools


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Settings with ``qemu.path``."""
    nowhere = tmp_path / "no-config.toml"
    return Config(
        user=nowhere,
        system=nowhere,
        environ={},
        overrides=[f"qemu.path={tmp_path / 'first'}"],
    )


def test_setting_comes_before_path(
    tmp_path: Path, config: Config, monkeypatch
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for directory in (first, second):
        directory.mkdir()
        (directory / "qemu-img").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(second))
    assert tools.find("qemu-img", config) == str(first / "qemu-img")
    (first / "qemu-img").chmod(0o644)
    assert tools.find("qemu-img", config) == str(second / "qemu-img")


@pytest.mark.parametrize(
    ("program", "package"), [("qemu-img", "qemu-utils"), ("swtpm", "swtpm")]
)
def test_missing_one_names_the_package(
    tmp_path: Path, config: Config, monkeypatch, program: str, package: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tools.look_for(program, config) is None
    with pytest.raises(NotFoundError, match=program) as error:
        tools.find(program, config)
    assert f"apt install {package};" in (error.value.hint or "")
