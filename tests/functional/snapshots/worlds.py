"""An instance, and beside it a simple notion of what it has to hold.

The services are called in this process: a command each would take ten
times as long.  Every deed is checked against the notion, in full.
"""

import asyncio
import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

from qemu_cli.config import Config
from qemu_cli.errors import QemuCliError, UsageError
from qemu_cli.hooks import Hooks
from qemu_cli.instance import (
    change,
    clone,
    definitions,
    delete,
    model,
    process,
    shutdown,
    start,
)
from qemu_cli.instance.disks import resize
from qemu_cli.instance.host import Host
from qemu_cli.instance.resolve import resolve
from qemu_cli.instance.snapshots import (
    check,
    create,
    layers,
    merging,
    revert,
    store,
)
from qemu_cli.instance.snapshots.delete import delete as delete_snapshots
from qemu_cli.instance.snapshots.freeze import Freeze
from qemu_cli.instance.vm import VM
from qemu_cli.qmp.sessions import Sessions
from qemu_cli.testing.home import QemuHome
from tests.functional.snapshots import checks, disk_access
from tests.functional.snapshots.dying import dying

UNIT = 32 << 10  # half a cluster

_T = TypeVar("_T")

Contents = dict[str, bytes]


class Template:
    """An instance to begin with, made once."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        home = QemuHome(directory)
        done = home(
            *("create", "web", "--memory", "64M", "--accel", "tcg"),
            *("--nic", "none", *options),
        )
        assert done.rc == 0, done.err


class World:
    """The instance ``web``, and what it has to hold.

    :param runs: its guest runs whenever its QEMU does
    :param today: the disks' content
    :param snapshots: what was there when each was taken
    """

    #: Whether its QEMU dies together with the program.
    fragile = False

    #: Whether the program has died in the last deed.
    died = False

    def __init__(
        self, template: "Template | World", *, runs: bool = False
    ) -> None:
        self.runs = runs
        directory = Path(tempfile.mkdtemp(prefix="q-"))
        shutil.rmtree(directory)
        shutil.copytree(template.directory, directory)
        self.directory = directory
        self.home = QemuHome(directory)
        paths = self.home.paths
        self.host = Host(
            paths=paths,
            config=Config(
                user=paths.user_config,
                system=paths.system_config,
                environ=os.environ,
            ),
            sessions=Sessions(),
            hooks=Hooks(self._said),
            say=self._said,
            warn=self._said,
            progress=self._progress,
            who="test",
        )
        self.paths = paths.instance("web")
        self.said: list[str] = []
        self.snapshots: dict[str, Contents] = {}
        self.clone: Contents | None = None
        self.left: set[str] = set()
        self.leaks: set[str] = set()
        self.count = 0
        self.today = self._read_today()

    def copy(self) -> "World":
        """Another one, which is as this is; its QEMU must not run."""
        other = World(self, runs=self.runs)
        other.snapshots = dict(self.snapshots)
        other.left = set(self.left)
        other.leaks = set(self.leaks)
        other.count = self.count
        return other

    def close(self) -> None:
        self.home.close()
        shutil.rmtree(self.home.directory)

    def _said(self, text: str) -> None:
        self.said.append(text)

    def _held_up(self, freeze: Freeze) -> None:
        assert freeze.ram_bytes

    @contextlib.contextmanager
    def _progress(self, label: str, unit: str = "") -> Iterator[Any]:
        yield lambda done, total: None

    def do(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run(work)

    @property
    def vm(self) -> VM:
        return resolve(self.host.paths, "web", probe=self.host.probe)

    @property
    def tree(self) -> store.Tree:
        return store.load(self.paths)

    @property
    def disks(self) -> list[str]:
        return sorted(self.today)

    # What can be done.

    def write(self, disk: str, unit: int, pattern: int) -> None:
        """Write a unit; pattern 0 tells the image that there are zeros."""
        units = len(self.today[disk]) // UNIT
        start = unit % units * UNIT
        how = f"write -P {pattern}" if pattern else "write -z"
        self._io(disk, f"{how} {start} {UNIT}")
        held = bytearray(self.today[disk])
        held[start : start + UNIT] = bytes([pattern]) * UNIT
        self.today[disk] = bytes(held)

    def grow(self, disk: str) -> None:
        held = self.today[disk]
        if disk == model.NVRAM_ID or len(held) > 16 * UNIT:
            return
        try:
            self.do(
                resize.resize(
                    *(self.host, self.vm, disk, f"+{3 * UNIT}"),
                    confirm=self._said,
                )
            )
        except QemuCliError as error:
            self._said(f"no resize: {error}")
            return
        self.today[disk] = held + bytes(3 * UNIT)

    def take(self, external: bool, ram: bool, kill: int | None) -> None:
        self.count += 1
        name = f"s{self.count}"
        vm = self.vm
        wanted = check.Wanted(
            name, external=external, ram=external and ram and vm.alive
        )
        with dying(kill) as death:
            self.do(
                create.create(self.host, vm, wanted, consent=self._held_up)
            )
        self.died = death.happened
        self._recover(kill)
        if kill is None or name in self._names():
            self.snapshots[name] = dict(self.today)

    def revert(self, number: int, kill: int | None) -> None:
        names = sorted(self.snapshots)
        if not names:
            return
        name = names[number % len(names)]
        with dying(kill) as death:
            self.do(
                revert.revert(
                    self.host,
                    self.vm,
                    revert.Wanted(name),
                    confirm=self._said,
                    consent=self._held_up,
                )
            )
        self.died = death.happened
        for text in self.said:
            if told := re.match(
                "web: (.*) had another size then, and Q", text
            ):
                self.leaks.add(told[1])
        self._recover(kill)
        before, self.today = self.today, dict(self.snapshots[name])
        if kill is not None and self._read_today() != self.today:
            self.today = before

    def drop(self, numbers: set[int], kill: int | None) -> None:
        names = sorted(self.snapshots)
        doomed = sorted(
            {names[each % len(names)] for each in numbers if names}
        )
        if not doomed:
            return
        vm = self.vm
        try:
            with dying(kill) as death:
                self._delete(vm, *doomed)
            self.died = death.happened
        except QemuCliError as error:
            # What its QEMU only reads can't be deleted while it runs.
            assert vm.alive, error
            assert "only reads" in str(error)
            return
        self._recover(kill)
        left = self._names()
        if kill is None:
            assert not left.intersection(doomed)
        else:
            with contextlib.suppress(UsageError):
                self._delete(self.vm)
        assert not merging.merges(self._layers())
        for name in doomed:
            if name not in left:
                del self.snapshots[name]

    def _delete(self, vm: VM, *names: str) -> None:
        self.do(delete_snapshots(self.host, vm, names, confirm=self._said))

    def link(self) -> None:
        """Make a clone, or delete it."""
        if self.clone is not None:
            other = resolve(self.host.paths, "other", probe=self.host.probe)
            self.said.clear()
            self.do(delete.delete(self.host, other))
            self.clone = None
            for text in self.said:
                if told := re.fullmatch("no VM needs (.*) any more", text):
                    self.left.add(Path(told[1]).name)
        elif not self.vm.alive:
            self.do(clone.clone(self.host, self.vm, "other"))
            self.clone = dict(self.today)

    def power(self) -> None:
        """Start it, or end its QEMU."""
        vm = self.vm
        if vm.alive:
            self.do(shutdown.quit_(self.host, vm))
        else:
            self.do(start.start(self.host, vm, paused=not self.runs))

    def _recover(self, kill: int | None) -> None:
        if kill is None:
            return
        if self.died and self.fragile and self.vm.alive:
            self.do(process.end(self.paths))

        async def nothing() -> None:
            async with change.changing(self.host, self.paths):
                pass

        self.do(nothing())

    # What has to be.

    def look(self) -> None:
        """Check everything that can be read."""
        assert self._names() == set(self.snapshots)
        assert self._read_today() == self.today
        for name, contents in self.snapshots.items():
            snapshot = self.tree.find(name)
            tag = snapshot.key if snapshot.kind == "internal" else None
            for layer in snapshot.layers:
                held = contents[layer.id]
                read = self._read(layer.file, layer.format, tag)
                if tag:  # it is shown as large as the image is today
                    assert not any(read[len(held) :])
                    shown = min(len(held), len(self.today[layer.id]))
                    read, held = read[:shown], held[:shown]
                assert read == held, (name, layer)
        if self.clone is not None:
            other = self.host.paths.instance("other")
            for disk in definitions.load(other.definition).disks:
                assert (
                    self._read(str(other.directory / disk.file), disk.format)
                    == self.clone[disk.id]
                )
        self._nothing_is_left()

    def _nothing_is_left(self) -> None:
        """No file is there that nobody needs."""
        found = self._layers()
        needed = {file.name for file in found.live}
        needed |= {file.name for file, who in found.users.items() if who}
        there = {file.name for file in self.paths.directory.glob("*.qcow2")}
        # What only a clone needs is in nobody's chain here; when the clone
        # is deleted, what is left of that is told.
        assert there <= needed | self.left or self.clone is not None

    def _layers(self) -> layers.Layers:
        return self.do(
            layers.read(
                self.host,
                self.paths,
                definitions.load(self.paths.definition),
                self.tree,
                tool="qemu-img",
            )
        )

    def sound(self) -> None:
        """``qemu-img check`` has nothing to say of any image.

        Where QEMU may have lost room, that was told, and is given back as
        it was told; but not below what another one stands on.
        """
        for file in self.paths.directory.glob("*.qcow2"):
            if file.name in self.leaks:
                words = ("image", "check", file, "--repair", "leaks")
                done = self.home(*words)
                if done.rc:
                    assert " is the " in done.err, done.err
                    checks.check(file, leaks=True)
                    continue
            checks.check(file)

    def _names(self) -> set[str]:
        return {each.name for each in self.tree.snapshots}

    def _read_today(self) -> Contents:
        if self.vm.alive:
            self.do(disk_access.flush(self.host, self.vm))
        definition = definitions.load(self.paths.definition)
        return {
            image.id: self._read(image.file, image.format)
            for image in definition.images
        }

    def _read(
        self, file: str, image_format: str, tag: str | None = None
    ) -> bytes:
        return disk_access.read(self.paths.directory / file, image_format, tag)

    def _io(self, disk: str, command: str) -> None:
        images = definitions.load(self.paths.definition).images
        file = next(each.file for each in images if each.id == disk)
        image = self.paths.directory / file
        if self.vm.alive:
            self.do(disk_access.tell(self.host, self.vm, image, command))
        else:
            disk_access.write(image, command)
