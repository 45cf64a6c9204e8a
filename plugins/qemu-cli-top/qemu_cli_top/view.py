"""The screen: a line of totals, the table, the keys."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.coordinate import Coordinate
from textual.events import Resize
from textual.notifications import SeverityLevel
from textual.widgets import DataTable, Footer, Static

from qemu_cli import settings
from qemu_cli.columns import State
from qemu_cli.errors import QemuCliError
from qemu_cli.instance import pause, shutdown
from qemu_cli.instance.stats.sample import Sample
from qemu_cli.instance.stats.sampler import Sampler
from qemu_cli.instance.vm import VM
from qemu_cli.ui import printable
from qemu_cli_top.rows import (
    COLUMNS,
    Column,
    cells,
    name_width,
    ordered,
    rows,
    summary,
)
from qemu_cli_top.screens import Log, Question

if TYPE_CHECKING:
    from qemu_cli.app import QemuApp
    from qemu_cli.instance.host import Host

#: The first rates come sooner than the others.
FIRST_S = 1.0

#: The colours of columns.State.
_STYLES = {"32": "green", "33": "yellow", "31": "red"}
_STATE, _CPU = 1, 3


class TopApp(App[None]):
    """All VMs, again and again."""

    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        ("s", "sort", "Sort"),
        ("S", "turn", "Reverse"),
        ("p", "pause", "Pause"),
        ("r", "resume", "Resume"),
        ("x", "shutdown", "Shut down"),
        ("l", "log", "Log"),
        ("c", "console", "Console"),
        ("q", "quit", "Quit"),
        Binding("ctrl+c", "quit", show=False, priority=True),
    ]
    CSS = """
    #summary { height: 1; background: $primary; color: $text; }
    DataTable { height: 1fr; scrollbar-size: 1 1; }
    """

    def __init__(
        self,
        program: "QemuApp",
        sampler: Sampler,
        first: Sequence[Sample],
        interval_s: float,
    ) -> None:
        super().__init__()
        self._program = program
        self._sampler = sampler
        self._interval_s = interval_s
        self._before = {sample.key: sample for sample in first}
        self._rows = rows({}, first)
        self._shown: list[tuple[str, ...]] = []
        self._sort = _CPU
        self._backwards = False
        self._at: tuple[str, str] | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="summary", markup=False)
        yield DataTable[Text](cursor_type="row", cell_padding=0)
        yield Footer()

    def on_mount(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.exit, None, 128 + number)
        self.run_worker(self._watch(), group="watch")

    def on_resize(self, event: Resize) -> None:
        self.table.clear(columns=True)
        for column in COLUMNS:
            width = column.width or name_width(event.size.width)
            self.table.add_column(_title(column), width=width)
        self._shown.clear()
        self._show()

    def on_data_table_header_selected(
        self, event: DataTable.HeaderSelected
    ) -> None:
        if self._sort == event.column_index:
            self._backwards = not self._backwards
        self._sort = event.column_index
        self._show()

    @property
    def table(self) -> DataTable[Text]:
        """The table of VMs."""
        return self.screen_stack[0].query_one(DataTable)

    @property
    def selected(self) -> VM | None:
        """The VM that the cursor is on."""
        place = self.table.cursor_row
        return self._rows[place].vm if place < len(self._rows) else None

    async def _watch(self) -> None:
        wait_s = min(FIRST_S, self._interval_s)
        while True:
            await asyncio.sleep(wait_s)
            begin = time.monotonic()
            try:
                samples = await asyncio.to_thread(self._sampler.take)
            except QemuCliError as error:
                self.tell(str(error), severity="error")
            else:
                self._rows = rows(self._before, samples)
                self._before = {sample.key: sample for sample in samples}
                self._show()
            wait_s = max(0.1, self._interval_s - (time.monotonic() - begin))

    def _show(self) -> None:
        """Write what has changed; the cursor stays on its VM."""
        table = self.table
        self._rows = ordered(self._rows, self._sort, self._backwards)
        lines = [cells(row) for row in self._rows]
        while table.row_count < len(lines):
            table.add_row(*(Text() for _ in COLUMNS))
            self._shown.append(("",) * len(COLUMNS))
        while table.row_count > len(lines):
            table.remove_row(table.ordered_rows[-1].key)
            self._shown.pop()
        for y, line in enumerate(lines):
            for x, text in enumerate(line):
                if text != self._shown[y][x]:
                    cell = _cell(x, text)
                    table.update_cell_at(Coordinate(y, x), cell)
        self._shown = lines
        keys = [row.key for row in self._rows]
        if self._at in keys:
            table.move_cursor(row=keys.index(self._at))
        order = COLUMNS[self._sort].title.strip()
        order += " reversed" * self._backwards
        totals = f"{summary(self._rows)}  sorted by {order}"
        self.screen_stack[0].query_one("#summary", Static).update(totals)

    def on_data_table_row_highlighted(
        self, event: DataTable.RowHighlighted
    ) -> None:
        vm = self.selected
        self._at = (vm.origin, vm.reference) if vm else None

    def action_sort(self) -> None:
        """Sort by the next column."""
        self._sort = (self._sort + 1) % len(COLUMNS)
        self._show()

    def action_turn(self) -> None:
        """Turn the order around."""
        self._backwards = not self._backwards
        self._show()

    def action_pause(self) -> None:
        """Pause the VM."""
        self._do(lambda host, vm: pause.pause(host, vm), "paused")

    def action_resume(self) -> None:
        """Resume the VM."""
        self._do(lambda host, vm: pause.resume(host, vm), "running")

    def action_shutdown(self) -> None:
        """Ask, then let the guest shut down."""
        vm = self.selected
        if vm is None:
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self.tell(f"{vm.name}: asked to shut down")
                self._do(_shut_down, "has shut down", vm)

        question = f"Ask the guest of '{printable(vm.name)}' to shut down?"
        self.push_screen(Question(question), answered)

    def action_log(self) -> None:
        """Show what the guest wrote to its serial port."""
        vm = self.selected
        if vm is None:
            return
        if vm.foreign:
            self.tell(f"{vm.name}: there is no log, as others started it")
        else:
            self.push_screen(Log(vm))

    def action_console(self) -> None:
        """Go to its console; this view is back when that is left."""
        vm = self.selected
        if vm is None:
            return
        if vm.foreign:
            self.tell(f"{vm.name} has its console where it was started")
            return
        command = [sys.executable, "-P", "-m", "qemu_cli", "console", vm.name]
        with self.suspend():
            if subprocess.run(command, check=False).returncode:
                input("Enter goes back. ")  # what went wrong can be read

    def tell(
        self, text: str, *, severity: SeverityLevel = "information"
    ) -> None:
        """Say something in a corner for some seconds."""
        self.notify(printable(text), severity=severity, markup=False)

    def _do(
        self,
        deed: "Callable[[Host, VM], Awaitable[object]]",
        done: str,
        vm: VM | None = None,
    ) -> None:
        """Do something to a VM, the selected one, beside the watching."""
        vm = vm or self.selected
        if vm:
            self.run_worker(self._did(deed, done, vm), group="deeds")

    async def _did(
        self,
        deed: "Callable[[Host, VM], Awaitable[object]]",
        done: str,
        vm: VM,
    ) -> None:
        try:
            host = self._program.host_of(vm).telling(self.tell)
            await deed(host, vm)
        except QemuCliError as error:
            text = f"{error}\n{error.hint}" if error.hint else str(error)
            self.notify(text, severity="error", markup=False)
        else:
            self.tell(f"{vm.name}: {done}")


async def _shut_down(host: "Host", vm: VM) -> None:
    timeout_s = host.config[settings.SHUTDOWN_TIMEOUT]
    await shutdown.shutdown(host, vm, timeout_s=timeout_s)


def _title(column: Column) -> Text:
    if column.is_number:
        return Text(column.title.rjust(column.width - 1))
    return Text(column.title)


def _cell(place: int, text: str) -> Text:
    column = COLUMNS[place]
    if column.is_number:
        return Text(text.rjust(column.width - 1))
    if place == _STATE:
        style = _STYLES.get(State(text).colour or "", "")
        return Text(f" {text}", style)
    return Text(text, no_wrap=True, overflow="ellipsis")
