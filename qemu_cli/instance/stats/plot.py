"""Draws samples over time, with matplotlib: the extra ``plot``."""

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path

from qemu_cli.errors import QemuCliError, UsageError
from qemu_cli.instance.stats.rates import Usage, usage
from qemu_cli.instance.stats.sample import Sample
from qemu_cli.ui import printable

SUFFIXES = (".png", ".svg")

_MIB = 1 << 20

#: One VM's line: seconds since the beginning, and the values then.
_Line = tuple[list[float], list[float]]

#: The charts, from the top: the label, and what is drawn.
_CHARTS: tuple[tuple[str, Callable[[Usage], float | None]], ...] = (
    ("CPU (%)", lambda used: used.cpu_percent),
    ("memory (MiB)", lambda used: _mib(used.rss_bytes)),
    (
        "disk (MiB/s)",
        lambda used: _mib(
            _sum(used.disk_read_bytes_s, used.disk_write_bytes_s)
        ),
    ),
    (
        "network (MiB/s)",
        lambda used: _mib(_sum(used.net_in_bytes_s, used.net_out_bytes_s)),
    ),
)


def check(file: Path) -> None:
    """Find out what would be in the way, before anything is sampled.

    :raise UsageError: the name says no format that we draw
    :raise QemuCliError: there is no such directory, or no matplotlib
    """
    if file.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"'{file}' can't be drawn: its name ends in none of "
            f"{' or '.join(SUFFIXES)}"
        )
    if not file.parent.is_dir():
        raise QemuCliError(f"there is no directory '{file.parent}'")
    if importlib.util.find_spec("matplotlib") is None:
        raise QemuCliError(
            "drawing needs matplotlib, which is not installed",
            hint="pip install 'qemu-cli[plot]'",
        )


def draw(taken: Sequence[Sequence[Sample]], file: Path) -> int:
    """Draw CPU, memory, disks and network of each VM over time.

    :param taken: all samples, in the order of their time
    :return: how many VMs there are in the picture
    :raise QemuCliError: there is nothing to draw, or the file can't be
        written
    """
    found = lines(taken)
    names = list(dict.fromkeys(name for chart in found for name in chart))
    if not names:
        raise QemuCliError(
            "there is nothing to draw: no VM was seen twice",
            hint="'qemu list' shows what runs",
        )
    # No global state: pyplot would choose a backend, and want a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 10), layout="constrained")
    FigureCanvasAgg(figure)
    charts = figure.subplots(len(_CHARTS), 1, sharex=True)
    drawn = {}
    for axes, (label, _), chart in zip(charts, _CHARTS, found, strict=True):
        highest = 0.0
        for name, (times, values) in chart.items():
            colour = f"C{names.index(name) % 10}"
            [drawn[name]] = axes.plot(times, values, color=colour)
            highest = max(highest, *values)
        axes.set_ylabel(label)
        axes.set_ylim(0, 1.1 * highest or 1)
        axes.grid(visible=True, alpha=0.3)
        if not chart:
            axes.text(
                *(0.5, 0.5, "not known of these VMs"),
                transform=axes.transAxes,
                horizontalalignment="center",
            )
    charts[-1].set_xlabel("seconds")
    figure.legend(
        drawn.values(),
        map(_literally, drawn),
        loc="outside upper center",
        ncols=5,
    )
    try:
        figure.savefig(file, format=file.suffix[1:].lower())
    except OSError as error:
        raise QemuCliError(
            f"{file} can't be written: {error.strerror}"
        ) from error
    return len(names)


def lines(taken: Sequence[Sequence[Sample]]) -> list[dict[str, _Line]]:
    """Turn samples into the lines of each chart.  Pure.

    Each run of a VM has a line of its own; a line has a gap where nothing
    is known.
    """
    charts: list[dict[str, _Line]] = [{} for _ in _CHARTS]
    labels = _labels(taken)
    before: dict[object, Sample] = {}
    begin_s = min((s.time_s for each in taken for s in each), default=0.0)
    for samples in taken:
        for sample in samples:
            if sample.key in before:
                used = usage(before[sample.key], sample)
                _add(charts, labels[sample.key], sample, begin_s, used)
            before[sample.key] = sample
    return charts


def _add(
    charts: Sequence[dict[str, _Line]],
    label: str,
    sample: Sample,
    begin_s: float,
    used: Usage,
) -> None:
    for chart, (_, of) in zip(charts, _CHARTS, strict=True):
        value = of(used)
        if value is None and label not in chart:
            continue
        times, values = chart.setdefault(label, ([], []))
        times.append(sample.time_s - begin_s)
        values.append(float("nan") if value is None else value)


def _labels(taken: Sequence[Sequence[Sample]]) -> dict[object, str]:
    """A VM's name; its pid as well when several have that name."""
    vms = {sample.key: sample.vm for each in taken for sample in each}
    names = [vm.name for vm in vms.values()]
    return {
        key: f"{vm.name} (pid {vm.process.pid})"
        if vm.process and names.count(vm.name) > 1
        else vm.name
        for key, vm in vms.items()
    }


def _literally(name: str) -> str:
    r"""A name that steers nothing: ``$x$`` is a formula for matplotlib."""
    return printable(name).replace("$", r"\$")


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def _mib(value: float | None) -> float | None:
    return None if value is None else value / _MIB
