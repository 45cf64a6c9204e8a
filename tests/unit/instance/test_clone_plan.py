"""What a clone is made of, and in which order."""

import os
from pathlib import Path

import pytest

from qemu_cli.instance import definitions, model
from qemu_cli.instance.clone_plan import DiskFacts, Facts, Layer, plan_clone
from qemu_cli.instance.model import Definition
from qemu_cli.paths import InstancePaths
from qemu_cli.steps import MakeDirectory, Plan, Tool, WriteFile

SOURCE = InstancePaths(Path("/h/web"), Path("/r/web"))
CLONE = InstancePaths(Path("/h/two"), Path("/r/two"))

TEXT = """\
# Mine.
uuid = "11111111-2222-4333-8444-555555555555"
created = "2026-01-01T00:00:00Z"
profile = "q35"
arch = "x86_64"
tpm = true

[machine]
type = "q35"
accel = "tcg"
cpu = "max"
cpus = 1
max_cpus = 1
memory_mib = 64

[boot]
kernel = "vmlinuz"
initrd = "/srv/initrd"

[[disks]]
id = "disk0"
file = "FILE"
format = "FORMAT"
bus = "virtio"
slot = "rp0"
read_only = READ_ONLY
"""


def planned(
    top: Layer,
    *,
    full: bool = False,
    read_only: bool = False,
    empty_on: Layer | None = None,
    alone: bool = True,
) -> tuple[Definition, Plan]:
    text = (
        TEXT.replace("FILE", os.path.relpath(top.file, SOURCE.directory))
        .replace("FORMAT", top.format)
        .replace("READ_ONLY", str(read_only).lower())
    )
    facts = Facts(
        qemu_img="qemu-img",
        text=text,
        disks=(DiskFacts(top, 1 << 20, "disk0.1.qcow2", empty_on, alone),),
        host_ports=(),
        has_nvram=True,
        has_tpm_state=True,
        uuid="99999999-2222-4333-8444-555555555555",
        created="2026-02-02T00:00:00Z",
    )
    definition = definitions.parse(text, source="it")
    made, plan = plan_clone(SOURCE, CLONE, definition, facts, full=full)
    # What is written for the clone is what is said of it.
    last = plan.steps[-1]
    assert isinstance(last, WriteFile)
    assert last.path == "/h/two/instance.toml"
    assert definitions.parse(last.text, source="it") == made
    assert plan.also == ("two",)
    assert plan.commit is None  # everything can be taken back
    return made, plan


def made_files(plan: Plan) -> list[str]:
    return [
        step.creates
        for step in plan.steps
        if isinstance(step, Tool) and step.creates
    ]


OWN = Layer(Path("/h/web/disk0.qcow2"), "qcow2")
OUTSIDE = Layer(Path("/srv/a.raw"), "raw")


@pytest.mark.parametrize("top", [OWN, OUTSIDE])
def test_both_get_an_overlay_before_a_definition_says_so(top: Layer) -> None:
    made, plan = planned(top)
    steps = plan.steps
    assert isinstance(steps[0], MakeDirectory)
    assert made.disks[0].file == "disk0.qcow2"
    assert made.disks[0].format == "qcow2"
    overlays = [
        step.argv
        for step in steps
        if isinstance(step, Tool) and step.argv[1] == "create"
    ]
    backings = [argv[argv.index("-b") + 1] for argv in overlays]
    formats = [argv[argv.index("-F") + 1] for argv in overlays]
    assert formats == [top.format] * 2
    # Relative among the instances, so that a home can be moved.
    expected = ["../web/disk0.qcow2", "./disk0.qcow2"]
    assert backings == (["/srv/a.raw"] * 2 if top == OUTSIDE else expected)
    # Then the source's definition, and the clone's at the very end.
    written = [s.path for s in steps if isinstance(s, WriteFile)]
    assert written == ["/h/web/instance.toml", "/h/two/instance.toml"]
    source = next(s for s in steps if isinstance(s, WriteFile))
    assert source.previous is not None
    after = definitions.parse(source.text, source="it")
    assert after.disks[0].file == "disk0.1.qcow2"
    assert after.disks[0].format == "qcow2"
    assert source.text.startswith("# Mine.")
    places = [steps.index(s) for s in steps if isinstance(s, WriteFile)]
    assert places == [len(steps) - 2, len(steps) - 1]


def test_an_empty_layer_is_kept() -> None:
    base = Layer(Path("/h/web/base.raw"), "raw")
    _, plan = planned(OWN, empty_on=base)
    assert [s.path for s in plan.steps if isinstance(s, WriteFile)] == [
        "/h/two/instance.toml"
    ]
    assert not any(f.startswith("/h/web") for f in made_files(plan))
    (overlay,) = [
        step.argv
        for step in plan.steps
        if isinstance(step, Tool) and step.argv[1] == "create"
    ]
    assert "../web/base.raw" in overlay


def test_a_disk_that_is_only_read_is_shared() -> None:
    made, plan = planned(OUTSIDE, read_only=True)
    assert made.disks[0].file == "/srv/a.raw"
    assert "/h/two/disk0.qcow2" not in made_files(plan)
    # In the source's directory it would go with the source.
    made, plan = planned(OWN, read_only=True)
    assert made.disks[0].file == "disk0.qcow2"
    assert made.disks[0].read_only
    assert "/h/web/disk0.1.qcow2" not in made_files(plan)


@pytest.mark.parametrize(
    ("top", "alone", "program", "file"),
    [
        (OWN, True, "cp", "disk0.qcow2"),
        (OWN, False, "qemu-img", "disk0.qcow2"),
        (OUTSIDE, True, "cp", "disk0.raw"),
        (Layer(Path("/srv/a.vmdk"), "vmdk"), False, "qemu-img", "disk0.qcow2"),
    ],
)
def test_full_copies(top: Layer, alone: bool, program: str, file: str) -> None:
    made, plan = planned(top, full=True, alone=alone)
    assert made.disks[0].file == file
    copies = [
        step.argv
        for step in plan.steps
        if isinstance(step, Tool) and step.creates == f"/h/two/{file}"
    ]
    assert [argv[0] for argv in copies] == [program]
    # The source is left alone.
    assert not any(f.startswith("/h/web") for f in made_files(plan))
    written = [s.path for s in plan.steps if isinstance(s, WriteFile)]
    assert written == ["/h/two/instance.toml"]


def test_what_else_goes_along() -> None:
    for full in (False, True):
        made, plan = planned(OWN, full=full)
        assert made.uuid.startswith("9999")
        assert made.created.startswith("2026-02")
        assert made.boot == model.Kernel(
            kernel="vmlinuz", initrd="/srv/initrd"
        )
        assert "/h/two/vmlinuz" in made_files(plan)
        assert "/h/two/nvram.qcow2" in made_files(plan)
        tpm = [
            step
            for step in plan.steps
            if isinstance(step, Tool) and "/h/two/tpm" in step.argv
        ]
        assert bool(tpm) == full
        empty = MakeDirectory("/h/two/tpm")
        assert (empty in plan.steps) != full
