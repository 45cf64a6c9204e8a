"""Finding QEMU binaries; asking them is a functional test."""

from pathlib import Path

import pytest

from qemu_cli.config import Config
from qemu_cli.emulator import binary
from qemu_cli.emulator.abilities import BinaryFacts, MachineFacts
from qemu_cli.errors import NotFoundError, UsageError


def config(tmp_path: Path, **settings: str) -> Config:
    nowhere = tmp_path / "no-config.toml"
    return Config(
        user=nowhere,
        system=nowhere,
        environ={},
        overrides=[
            f"qemu.{k.replace('__', '.')}={v}" for k, v in settings.items()
        ],
    )


@pytest.fixture(autouse=True)
def empty_path(monkeypatch, tmp_path: Path) -> Path:
    """A PATH with nothing on it yet."""
    directory = tmp_path / "on-path"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    monkeypatch.setattr(binary, "_HOST_NAMES", ("qemu-kvm",))
    return directory


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o755)
    return path


def test_path_setting_path_and_binary_setting(
    tmp_path: Path, empty_path: Path
) -> None:
    on_path = executable(empty_path / "qemu-system-arm")
    assert binary.find("arm", config(tmp_path)) == on_path
    first = executable(tmp_path / "first" / "qemu-system-arm")
    there = config(tmp_path, path=str(first.parent))
    assert binary.find("arm", there) == first
    said = executable(tmp_path / "my-qemu")
    both = config(tmp_path, path=str(first.parent), binary__arm=str(said))
    assert binary.find("arm", both) == said


def test_path_setting_without_it_falls_back(
    tmp_path: Path, empty_path: Path
) -> None:
    on_path = executable(empty_path / "qemu-system-arm")
    elsewhere = config(tmp_path, path=str(tmp_path))
    assert binary.find("arm", elsewhere) == on_path


def test_qemu_kvm_is_for_the_hosts_architecture(
    tmp_path: Path, empty_path: Path
) -> None:
    kvm = executable(empty_path / "qemu-kvm")
    host = binary.host_arch()
    assert binary.find(host, config(tmp_path)) == kvm
    own = executable(empty_path / f"qemu-system-{host}")
    assert binary.find(host, config(tmp_path)) == own
    with pytest.raises(NotFoundError):
        binary.find("sparc", config(tmp_path))


@pytest.mark.parametrize(
    ("arch", "package"),
    [
        ("x86_64", "qemu-system-x86"),
        ("aarch64", "qemu-system-arm"),
        ("ppc64", "qemu-system-ppc"),
        ("m68k", "qemu-system-misc"),
    ],
)
def test_missing_one_names_the_package(
    tmp_path: Path, arch: str, package: str
) -> None:
    with pytest.raises(NotFoundError, match=arch) as error:
        binary.find(arch, config(tmp_path))
    assert f"apt install {package};" in (error.value.hint or "")


def test_binary_setting_that_is_no_program(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.touch(mode=0o644)
    for said in (text, tmp_path, tmp_path / "gone"):
        with pytest.raises(NotFoundError, match=str(said)) as error:
            binary.find("arm", config(tmp_path, binary__arm=str(said)))
        assert "qemu.binary.arm" in (error.value.hint or "")


def test_available(tmp_path: Path, empty_path: Path) -> None:
    arm = executable(empty_path / "qemu-system-arm")
    executable(empty_path / "qemu-system-x86_64-spice")
    (empty_path / "qemu-system-armhf").symlink_to(arm)
    (empty_path / "qemu-system-mips").touch(mode=0o644)
    host = executable(empty_path / "qemu-kvm")
    sparc = executable(tmp_path / "more" / "qemu-system-sparc")
    found = binary.available(config(tmp_path, path=str(sparc.parent)))
    assert found == {"arm": arm, binary.host_arch(): host, "sparc": sparc}


def test_identity_follows_links_and_changes(tmp_path: Path) -> None:
    real, link = executable(tmp_path / "real"), tmp_path / "link"
    link.symlink_to(real)
    before = binary.identity(link)
    assert before == binary.identity(real)
    real.write_text("longer")
    assert binary.identity(link) != before
    with pytest.raises(NotFoundError):
        binary.identity(tmp_path / "gone")


def facts() -> BinaryFacts:
    versioned = MachineFacts("pc-q35-7.2", 288, True, False)
    return BinaryFacts(
        version=(7, 2, 22),
        package="",
        arch="x86_64",
        machines={"pc-q35-7.2": versioned},
        aliases={"q35": "pc-q35-7.2"},
        accelerators=frozenset({"tcg"}),
        cpu_models=frozenset({"max", "Haswell"}),
        options=frozenset(),
    )


@pytest.mark.parametrize("name", ["q35", "pc-q35-7.2"])
def test_alias_becomes_the_versioned_machine(name: str) -> None:
    assert facts().machine(name).name == "pc-q35-7.2"


def test_unknown_machine_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="q53") as error:
        facts().machine("q53")
    assert "q35" in (error.value.hint or "")


@pytest.mark.parametrize("model", ["max", "Haswell,-hle", "host"])
def test_a_cpu_model_may_have_features(model: str) -> None:
    facts().check_cpu(model)


def test_unknown_cpu_model_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="'Hasswell'") as error:
        facts().check_cpu("Hasswell,+vmx")
    assert "Haswell" in (error.value.hint or "")
