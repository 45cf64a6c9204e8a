"""resolve: from what was typed to VMs."""

import socket
from collections.abc import Iterable
from pathlib import Path

import pytest

from qemu_cli.errors import NotFoundError, UsageError
from qemu_cli.instance import resolve
from qemu_cli.instance import vm as vms
from qemu_cli.paths import Paths
from qemu_cli.qmp.probe import Answer, Target


def nobody(targets: Iterable[Target]) -> list[Answer]:
    assert not list(targets)
    return []


@pytest.fixture
def paths(short_dir: Path) -> Paths:
    """Room for sockets, but not for the longest of names."""
    home = short_dir / "some-home"
    return Paths(data=home, state=home, cache=home / "cache", config=home)


@pytest.fixture
def instances(paths: Paths) -> Paths:
    for name in ("web-1", "web-2", "db", "broken", "[x]"):
        directory = paths.instance(name).directory
        directory.mkdir(parents=True)
        if name != "broken":
            paths.instance(name).definition.write_text("")
    return paths


def names(paths: Paths, *references: str, **options: object) -> list[str]:
    found = resolve.select(paths, references, probe=nobody, **options)  # type: ignore[arg-type]
    return [vm.name for vm in found]


def test_names_and_globs_in_their_order_and_once(instances: Paths) -> None:
    assert names(instances, "web-2", "db", "web-2") == ["web-2", "db"]
    assert names(instances, "db", "web*", "web-2") == ["db", "web-1", "web-2"]
    assert names(instances, "web-[2-9]") == ["web-2"]
    assert names(instances, "?b") == ["db"]


def test_an_exact_name_wins_over_a_glob(instances: Paths) -> None:
    assert names(instances, "[x]") == ["[x]"]


def test_all_and_some_states(instances: Paths) -> None:
    everyone = ["[x]", "broken", "db", "web-1", "web-2"]
    assert names(instances, every=True) == everyone
    assert names(instances, every=True, states=("broken",)) == ["broken"]
    assert names(instances, "web*", states=("running", "stopped")) == [
        "web-1",
        "web-2",
    ]
    assert names(instances, "web*", states=("running",)) == []


def test_what_does_not_exist_is_said_with_the_nearest(
    instances: Paths,
) -> None:
    with pytest.raises(NotFoundError, match="no VM 'wep-1'") as caught:
        names(instances, "db", "wep-1")
    assert "web-1" in str(caught.value.hint)
    with pytest.raises(NotFoundError, match="no instance matches 'x\\*'"):
        names(instances, "x*")
    for nasty in ("", "..", "../db", "/etc", ".locks", "web-1/", "\udcff"):
        with pytest.raises(NotFoundError):
            names(instances, nasty)
        with pytest.raises(NotFoundError):
            resolve.resolve(instances, nasty, probe=nobody)


def test_one_by_its_name(instances: Paths) -> None:
    assert resolve.resolve(instances, "db", probe=nobody).name == "db"


def test_an_unknown_state_is_said_with_the_known(instances: Paths) -> None:
    with pytest.raises(UsageError, match="no state 'up'") as caught:
        names(instances, every=True, states=("up",))
    for state in vms.STATES:
        assert state in str(caught.value.hint)


def test_before_the_first_instance(paths: Paths) -> None:
    assert vms.names(paths) == []
    paths.instances.parent.mkdir(parents=True)
    paths.instances.write_text("a file in its place")
    assert vms.names(paths) == []


def test_only_directories_are_instances(instances: Paths) -> None:
    (instances.instances / "file").write_text("")
    (instances.instances / ".locks").mkdir()
    (instances.instances / "circle").symlink_to("circle")
    (instances.instances / "away").symlink_to("/nowhere")
    (instances.instances / "elsewhere").symlink_to("db")
    assert vms.names(instances) == sorted(
        ["[x]", "broken", "db", "elsewhere", "web-1", "web-2"]
    )


def test_a_vm_whose_directory_is_gone_is_found_by_its_socket(
    instances: Paths,
) -> None:
    lost = instances.instance("lost")
    lost.runtime.mkdir(parents=True)
    before = vms.names(instances)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(lost.probe_socket))
        listener.listen()
        assert vms.names(instances) == sorted([*before, "lost"])
    # What nobody listens on was left by a QEMU that has ended.
    assert lost.probe_socket.exists()
    assert vms.names(instances) == before


def test_the_sockets_of_a_long_name_are_no_second_vm(
    instances: Paths,
) -> None:
    name = "a" * 64
    instances.instance(name).directory.mkdir()
    runtime = instances.instance(name).runtime
    assert runtime.name != name
    runtime.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(runtime / "probe.sock"))
        listener.listen()
        found = vms.names(instances)
    assert name in found
    assert runtime.name not in found
