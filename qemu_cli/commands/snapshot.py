"""qemu snapshot create, list, show and rename."""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qemu_cli import settings
from qemu_cli.columns import Duration, Named, Names, Size
from qemu_cli.command import Command, Lister, ShowOne
from qemu_cli.command.display import Table
from qemu_cli.errors import UsageError
from qemu_cli.units import format_duration, format_size

if TYPE_CHECKING:
    from qemu_cli.instance.host import Host
    from qemu_cli.instance.snapshots.check import Wanted
    from qemu_cli.instance.snapshots.create import Created
    from qemu_cli.instance.snapshots.freeze import Freeze
    from qemu_cli.instance.snapshots.listing import Found, Seen
    from qemu_cli.instance.snapshots.store import Snapshot
    from qemu_cli.instance.vm import VM

_COLUMNS = (
    *("name", "parent", "current", "kind", "ram", "size_bytes"),
    *("ram_bytes", "created_s", "age_s", "disks", "comment"),
    *("ours", "problem"),
)


class SnapshotCreate(ShowOne):
    """Keep what a VM's disks hold now, to go back to it later.

    An internal snapshot is inside the disks' images; of a running VM it
    has the RAM, and the guest stands still while that is written.  An
    external one is at once: from then on the guest writes to overlays,
    and what the disks held is only read.  Either way it is of all disks
    that the guest can write to, and of its UEFI variables.
    """

    examples = (
        "qemu snapshot create web",
        "qemu snapshot create web before-upgrade -m 'all tests pass'",
        "qemu snapshot create web --external --quiesce",
        "qemu snapshot create web --external --ram",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="a VM")
        parser.add_argument(
            "snapshot",
            metavar="SNAP",
            nargs="?",
            help="the snapshot's name (default: s1, s2 …)",
        )
        parser.add_argument(
            "-m", "--comment", metavar="TEXT", default="", help="what for"
        )
        parser.add_argument(
            "--external",
            action="store_true",
            help="put overlays on the disks, which may have any format",
        )
        parser.add_argument(
            "--disk",
            metavar="ID",
            action="append",
            default=[],
            help="with --external: only this disk (repeatable)",
        )
        parser.add_argument(
            "--ram",
            action="store_true",
            help="with --external: write the RAM to a file, too",
        )
        parser.add_argument(
            "--quiesce",
            action="store_true",
            help="with --external: freeze the guest's file systems for the "
            "moment, through its agent",
        )
        parser.add_argument(
            "--owner-knows",
            action="store_true",
            help="with --external, of a VM that somebody else started: its "
            "next start will use the overlays, whose names are printed",
        )
        parser.add_argument(
            "-y",
            "--yes",
            action="store_true",
            help="do not ask, however long the guest stands still",
        )
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="only print what would be done",
        )
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        if parsed_args.formatter is not None and not parsed_args.dry_run:
            return super().run(parsed_args)
        created = self._create(parsed_args)
        if parsed_args.dry_run:
            for line in created.plan.describe():
                self.app.stdout.write(f"{line}\n")
        else:
            text = _told(created.snapshot)
            self.app.ui.say(f"{parsed_args.name}: {text}")
            if created.files:
                self.app.ui.say("its next start must use:")
            for disk, file in created.files.items():
                self.app.stdout.write(f"{disk}: {file}\n")
        return 0

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        created = self._create(parsed_args)
        snapshot = created.snapshot
        memory = snapshot.memory
        row = {
            "name": snapshot.name,
            "kind": snapshot.kind,
            "ram": memory is not None,
            "ram_bytes": Size(memory.size_bytes if memory else None),
            "seconds": memory and memory.seconds,
            "disks": Names([layer.id for layer in snapshot.layers]),
            "comment": snapshot.comment,
        }
        if created.files:
            text = "\n".join(f"{k}: {v}" for k, v in created.files.items())
            row["files"] = Named(dict(created.files), text)
        return list(row), list(row.values())

    def _create(self, args: argparse.Namespace) -> "Created":
        from qemu_cli.command import freeze, loop
        from qemu_cli.instance import resolve
        from qemu_cli.instance.snapshots import check, create

        vm = resolve.anyone(self.app.host, args.name)
        host = self.app.host_of(vm)
        wanted = check.Wanted(
            name=args.snapshot,
            comment=args.comment,
            external=args.external,
            ram=args.ram,
            quiesce=args.quiesce,
            disks=tuple(args.disk),
        )
        consent = freeze.consent(
            self.app.ui,
            vm.name,
            host.config[settings.SNAPSHOT_MAX_FREEZE],
            yes=args.yes,
            instead="--external --ram writes the RAM to a file, shows how "
            "far it is, and can be cancelled; --external takes the disks "
            "alone, at once",
        )
        if vm.foreign:
            return self._of_stranger(host, vm, wanted, consent, args)
        return loop.run(
            create.create(
                host, vm, wanted, consent=consent, dry_run=args.dry_run
            )
        )

    @staticmethod
    def _of_stranger(
        host: "Host",
        vm: "VM",
        wanted: "Wanted",
        consent: "Callable[[Freeze], None]",
        args: argparse.Namespace,
    ) -> "Created":
        from qemu_cli.command import loop
        from qemu_cli.instance.snapshots import strangers, strangers_external

        if wanted.external:
            return loop.run(
                strangers_external.create(
                    host,
                    vm,
                    wanted,
                    owner_knows=args.owner_knows,
                    dry_run=args.dry_run,
                )
            )
        return loop.run(
            strangers.save(
                host, vm, wanted, consent=consent, dry_run=args.dry_run
            )
        )


class SnapshotList(Lister):
    """List a VM's snapshots, internal and external, oldest first.

    The current one is what today's disks stand on.  Those that another
    program has made are listed, too; they are 'not ours'.  Of a VM that
    somebody else started, those inside of its images are listed.
    """

    examples = (
        "qemu snapshot list web",
        "qemu snapshot list web --tree",
        "qemu snapshot list web -f json",
    )
    table_columns = (
        *("name", "parent", "current", "kind", "ram", "size_bytes"),
        *("age_s", "comment", "problem"),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="a VM")
        parser.add_argument(
            "--tree",
            action="store_true",
            help="draw which was made from which, newest first",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Table:
        from qemu_cli.instance.snapshots.drawing import draw

        if parsed_args.tree and parsed_args.sort:
            raise UsageError("a tree has its own order: --tree or --sort")
        self.chosen(parsed_args, _COLUMNS)
        found = _look(self, parsed_args.name, tree=parsed_args.tree)
        if not parsed_args.tree:
            rows = [_row(each, found) for each in found.seen]
            return _COLUMNS, [list(row.values()) for row in rows]
        human = getattr(self.formatter(parsed_args), "human", False)
        rows = []
        for line in draw(found):
            row: dict[str, Any] = dict.fromkeys(_COLUMNS)
            if line.seen:
                row = _row(line.seen, found)
            elif not human:
                continue
            name = row["name"] or ("(today)" if line.today else "")
            rows.append({**row, "name": Named(name, line.lines + name)})
        return _COLUMNS, [list(row.values()) for row in rows]


class SnapshotShow(ShowOne):
    """Show everything that is known about a snapshot."""

    examples = ("qemu snapshot show web s1",)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="a VM")
        parser.add_argument("snapshot", metavar="SNAP", help="a snapshot")
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Any]]:
        found = _look(self, parsed_args.name)
        seen = found.find(parsed_args.snapshot)
        row = {**_row(seen, found), **_details(seen.snapshot, found)}
        return list(row), list(row.values())


class SnapshotRename(Command):
    """Give a snapshot another name.

    It can be done at any time; the images are not touched.
    """

    examples = ("qemu snapshot rename web s1 before-upgrade",)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="a VM")
        parser.add_argument("old", metavar="OLD", help="a snapshot")
        parser.add_argument("new", metavar="NEW", help="its new name")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        from qemu_cli.command import loop
        from qemu_cli.instance.resolve import resolve
        from qemu_cli.instance.snapshots.rename import rename

        host = self.app.host
        vm = resolve(
            host.paths, parsed_args.name, probe=host.probe, why="tree"
        )
        old, new = parsed_args.old, parsed_args.new
        loop.run(rename(self.app.host_of(vm), vm, old, new))
        self.app.ui.say(f"{vm.name}: snapshot '{old}' is '{new}' now")


def _look(command: Command, name: str, *, tree: bool = False) -> "Found":
    from qemu_cli.instance import resolve
    from qemu_cli.instance.snapshots import listing

    host = command.app.host
    if tree:
        vm = resolve.resolve(host.paths, name, probe=host.probe, why="tree")
    else:
        vm = resolve.anyone(host, name)
    if not vm.foreign:
        return listing.look(vm)
    from qemu_cli.command import loop
    from qemu_cli.instance.snapshots import strangers

    return loop.run(strangers.look(command.app.host_of(vm), vm))


def _row(seen: "Seen", found: "Found") -> dict[str, Any]:
    snapshot = seen.snapshot
    current = seen.ours and snapshot.key == found.tree.current
    words = [] if seen.ours or not found.kept else ["not ours"]
    problem = ", ".join([*words, *filter(None, [seen.problem])])
    age_s = max(0.0, time.time() - snapshot.created_s)
    values = (
        snapshot.name,
        found.name_of(snapshot.parent),
        Named(current, "*" if current else ""),
        snapshot.kind,
        seen.ram_bytes is not None,
        Size(seen.size_bytes),
        Size(seen.ram_bytes),
        Named(round(snapshot.created_s, 3), _date(snapshot.created_s)),
        Duration(round(age_s, 2)),
        Names([layer.id for layer in snapshot.layers]),
        snapshot.comment,
        seen.ours,
        Named(seen.problem, problem),
    )
    return dict(zip(_COLUMNS, values, strict=True))


def _details(snapshot: "Snapshot", found: "Found") -> Mapping[str, Any]:
    memory = snapshot.memory
    children = [each.name for each in found.tree.children(snapshot.key)]
    version = ".".join(map(str, memory.version)) if memory else None
    return {
        "children": Names(children),
        "layers": Named(
            [
                {"disk": each.id, "file": each.file, "format": each.format}
                for each in snapshot.layers
            ],
            "\n".join(f"{each.id}: {each.file}" for each in snapshot.layers),
        ),
        "tag": snapshot.key if snapshot.kind == "internal" else None,
        "ram_is_on": snapshot.vmstate,
        "running": memory.running if memory else None,
        "qemu_version": version,
    }


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(seconds))


def _told(snapshot: "Snapshot") -> str:
    memory = snapshot.memory
    words: list[str] = [snapshot.kind]
    if memory:
        words.append(f"{format_size(memory.size_bytes)} of RAM")
        words.append(format_duration(memory.seconds))
    return f"snapshot '{snapshot.name}' ({', '.join(words)})"
