"""Distributions that look installed, without pip; directories of a test."""

from collections.abc import Mapping
from pathlib import Path

import hypothesis
import pytest

from qemu_cli.paths import Paths
from qemu_cli.testing.home import QemuHome, Result

# A busy machine is no fault in what is tested.
hypothesis.settings.register_profile(
    "unhurried",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("unhurried")


class Distributions:
    """A directory for ``sys.path``, with distributions as pip leaves them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()

    def add(
        self,
        name: str,
        entry_points: Mapping[str, Mapping[str, str]],
        modules: Mapping[str, str] | None = None,
    ) -> None:
        """:param entry_points: by group, name and target"""
        info = self.directory / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        )
        lines = []
        for group, members in entry_points.items():
            lines.append(f"[{group}]")
            lines += [f"{key} = {value}" for key, value in members.items()]
        (info / "entry_points.txt").write_text("\n".join(lines))
        for module, source in (modules or {}).items():
            (self.directory / f"{module}.py").write_text(source)


@pytest.fixture
def distributions(tmp_path: Path) -> Distributions:
    return Distributions(tmp_path / "distributions")


@pytest.fixture
def qemu_with(qemu_home: QemuHome, distributions: Distributions):
    """Run ``qemu`` as if the fake distributions were installed."""

    def run(*words: str, **environment: str) -> Result:
        return qemu_home(
            *words,
            environment={
                "PYTHONPATH": str(distributions.directory),
                "XDG_CACHE_HOME": str(distributions.directory / "cache"),
                **environment,
            },
        )

    return run


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Directories of this test's own."""
    home = tmp_path / "home"
    return Paths(data=home, state=home, cache=home / "cache", config=home)
