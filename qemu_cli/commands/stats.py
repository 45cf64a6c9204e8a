"""qemu stats."""

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qemu_cli import settings
from qemu_cli.columns import Named, Percent, Rate, Size, State, plain
from qemu_cli.command import Lister
from qemu_cli.command.display import Table
from qemu_cli.errors import UsageError
from qemu_cli.units import parse_duration

if TYPE_CHECKING:
    from qemu_cli.instance.stats.rates import Usage
    from qemu_cli.instance.stats.sample import Sample
    from qemu_cli.instance.stats.sampler import Sampler

#: /proc counts CPU time in hundredths of a second.
_LEAST_S = 0.1
_MOST_S = 86400.0

#: The formats that can go on and on.
_FOLLOWING = ("table", "ndjson", "value", "template")


class Stats(Lister):
    """Show what VMs use: CPU, memory, disks, network.

    Counters are read twice, and what is shown is the rate between.  CPU
    time and memory are those of QEMU's process, so they are known of VMs
    that others started, too; what only QEMU knows is empty where its
    monitor is held or silent.  The network is counted for tap interfaces;
    there are no counters of user networking.
    """

    examples = (
        "qemu stats",
        "qemu stats web --interval 5s --columns +disk_read_ops_s,exits_s",
        "qemu stats --watch -f ndjson",
        "qemu stats web --for 60s --plot web.png",
    )
    table_columns = (
        "name",
        "state",
        "cpu_percent",
        "rss_bytes",
        "disk_read_bytes_s",
        "disk_write_bytes_s",
        "net_in_bytes_s",
        "net_out_bytes_s",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "names",
            nargs="*",
            metavar="NAME",
            help="a VM, or pid:N, qmp:ADDRESS, ORIGIN:NAME; * and ? match "
            "names of your instances (default: all that run)",
        )
        parser.add_argument(
            "--interval",
            type=parse_duration,
            default=1.0,
            metavar="TIME",
            help="between two looks at the counters (default: 1s)",
        )
        parser.add_argument(
            "--watch",
            action="store_true",
            help="go on, until Ctrl-C or for as long as --for says",
        )
        parser.add_argument(
            "--for",
            dest="for_s",
            type=parse_duration,
            metavar="TIME",
            help="how long to watch",
        )
        parser.add_argument(
            "--plot",
            metavar="FILE",
            help="draw what was seen meanwhile into FILE.png or FILE.svg",
        )
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        self._check(parsed_args)
        if parsed_args.plot is not None:
            return self._plot(parsed_args)
        if parsed_args.watch or parsed_args.for_s is not None:
            return self._watch(parsed_args)
        return super().run(parsed_args)

    def _check(self, args: argparse.Namespace) -> None:
        """Find mistakes before the time is spent."""
        if not _LEAST_S <= args.interval <= _MOST_S:
            raise UsageError(
                f"--interval must be from {_LEAST_S:g}s to {_MOST_S:g}s"
            )
        if args.for_s is not None and args.for_s < args.interval:
            raise UsageError(
                f"--for {args.for_s:g}s is over before the first "
                f"--interval of {args.interval:g}s is"
            )
        self.chosen(args, COLUMNS)
        self.sort_keys(args, COLUMNS)

    def take_action(self, parsed_args: argparse.Namespace) -> Table:
        sampler = self._sampler(parsed_args)
        first = sampler.take()
        time.sleep(parsed_args.interval)
        return _table(first, sampler.take())

    def _watch(self, args: argparse.Namespace) -> int:
        formatter = self.formatter(args)
        name = self.format_name(args)
        if name not in _FOLLOWING:
            raise UsageError(
                f"the format '{name}' has an end, and --watch has none",
                hint="-f ndjson writes an object a line",
            )
        before: list[Sample] = []
        for samples in self._samples(args):
            if before:
                names, rows = _table(before, samples)
                self.print_rows(formatter, args, names, rows)
                if name == "table":
                    self.app.stdout.write("\n")
                self.app.stdout.flush()
            before = samples
        return 0

    def _plot(self, args: argparse.Namespace) -> int:
        from qemu_cli.instance.stats import plot

        file = Path(args.plot)
        plot.check(file)
        if args.for_s is None:
            raise UsageError(
                "--plot needs to know for how long",
                hint=f"say it with --for, as in --for 60s --plot {file}",
            )
        taken = list(self._samples(args))
        count = plot.draw(taken, file)
        self.app.ui.say(
            f"{file}: {count} VM{'s' * (count != 1)}, {len(taken)} samples"
        )
        return 0

    def _samples(self, args: argparse.Namespace) -> "Iterator[list[Sample]]":
        """Take samples at equal distances, for as long as is wanted."""
        sampler = self._sampler(args)
        begin = due = time.monotonic()
        while True:
            yield sampler.take()
            # After a look that took longer, the next ones are not hurried.
            due = max(due + args.interval, time.monotonic())
            if args.for_s is not None and due - begin > args.for_s:
                return
            time.sleep(max(0.0, due - time.monotonic()))

    def _sampler(self, args: argparse.Namespace) -> "Sampler":
        from qemu_cli.instance.stats.sampler import Sampler

        host = self.app.host
        foreign = host.config[settings.LIST_FOREIGN]
        return Sampler(host, args.names, foreign=foreign)


#: All keys of a row, in their order in machine formats.
COLUMNS = (
    "name",
    "state",
    "origin",
    "pid",
    "time",
    "interval_s",
    "cpu_percent",
    "vcpus",
    "rss_bytes",
    "memory_bytes",
    "balloon_bytes",
    "disk_read_bytes_s",
    "disk_write_bytes_s",
    "disk_read_ops_s",
    "disk_write_ops_s",
    "disks",
    "net_in_bytes_s",
    "net_out_bytes_s",
    "nics",
    "exits_s",
)


def _table(before: "Sequence[Sample]", after: "Sequence[Sample]") -> Table:
    from qemu_cli.instance.stats.rates import usage

    were = {sample.key: sample for sample in before}
    rows = [
        _row(sample, usage(were.get(sample.key), sample)) for sample in after
    ]
    return COLUMNS, [[row[name] for name in COLUMNS] for row in rows]


def _row(sample: "Sample", used: "Usage") -> dict[str, Any]:
    vm = sample.vm
    return {
        "name": vm.name,
        "state": State(vm.state),
        "origin": vm.origin,
        "pid": vm.process.pid if vm.process else None,
        "time": round(sample.time, 3),
        **used._asdict(),
        "cpu_percent": Percent(used.cpu_percent),
        "vcpus": _parts(
            used.vcpus,
            " ".join(f"{v.cpu_percent:.0f}%" for v in used.vcpus or ()),
        ),
        "rss_bytes": Size(used.rss_bytes),
        "memory_bytes": Size(used.memory_bytes),
        "balloon_bytes": Size(used.balloon_bytes),
        "disk_read_bytes_s": Rate(used.disk_read_bytes_s),
        "disk_write_bytes_s": Rate(used.disk_write_bytes_s),
        "disks": _parts(
            used.disks, " ".join(disk.id for disk in used.disks or ())
        ),
        "net_in_bytes_s": Rate(used.net_in_bytes_s),
        "net_out_bytes_s": Rate(used.net_out_bytes_s),
        "nics": _parts(
            used.nics, " ".join(nic.interface for nic in used.nics or ())
        ),
    }


def _parts(parts: "Sequence[Any] | None", text: str) -> Named:
    return Named(None if parts is None else plain(parts), text)
