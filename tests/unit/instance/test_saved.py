"""What a saved state fits to."""

import os

from qemu_cli.instance import saved
from qemu_cli.paths import InstancePaths
from qemu_cli.steps.ram import identity


def argv(name="web", place="/vms", memory="1024M", *, how=()):
    return [
        "/usr/bin/qemu-system-x86_64",
        *("-name", f"guest={name},debug-threads=on"),
        *("-m", f"size={memory}"),
        *("-pidfile", f"{place}/{name}/qemu.pid"),
        *("-chardev", f"socket,id=probe,path={place}/run/{name}/probe.sock"),
        *("-netdev", "bridge,id=net0,br=br0"),
        *("-blockdev", f'{{"filename":"{place}/{name}/disk0.qcow2"}}'),
        *how,
    ]


def test_how_it_starts_is_no_part_of_the_machine():
    how = ("-incoming", "defer", "-S")
    assert saved.comparable(argv(how=how)) == saved.comparable(argv())


def test_name_and_place_are_no_part_of_the_machine():
    elsewhere = argv("other", "/home/me")
    assert saved.comparable(elsewhere) == saved.comparable(argv())


def test_descriptors_stand_for_paths():
    running = argv()
    running[running.index("-chardev") + 1] = "socket,id=probe,fd=7,server=on"
    running[running.index("-netdev") + 1] = "tap,id=net0,fd=9"
    assert saved.comparable(running) == saved.comparable(argv())


def test_forwards_are_no_part_of_the_machine():
    words = [argv(), argv()]
    for one, forwards in zip(words, ("", ",hostfwd=tcp::22-:22"), strict=True):
        one[one.index("-netdev") + 1] = f"user,id=net0{forwards}"
    assert saved.comparable(words[0]) == saved.comparable(words[1])
    assert saved.comparable(words[0]) != saved.comparable(argv())


def test_memory_is_part_of_the_machine():
    assert saved.comparable(argv(memory="2048M")) != saved.comparable(argv())


def test_identity_changes_with_time_and_size(tmp_path):
    file = tmp_path / "disk"
    file.write_bytes(b"x")
    before = identity(file)
    file.write_bytes(b"xy")
    os.utime(file, ns=(0, before[1]))
    assert identity(file) != before
    os.truncate(file, 1)
    os.utime(file, ns=(0, before[1]))
    assert identity(file) == before
    os.utime(file, ns=(0, before[1] + 1))
    assert identity(file) != before


def test_what_is_no_regular_file_has_none(tmp_path):
    assert identity(tmp_path / "missing") is None
    assert identity(tmp_path) is None


def test_discarding_is_harmless_when_nothing_is_saved(tmp_path):
    paths = InstancePaths(tmp_path, tmp_path)
    assert not saved.exists(paths)
    saved.discard(paths)
    paths.saved_facts.write_text("{}")
    paths.saved_ram.write_text("")
    assert saved.exists(paths)
    saved.discard(paths)
    assert list(tmp_path.iterdir()) == []
