"""What comes up in front of the table."""

import re
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Label, Static

from qemu_cli.instance import logs
from qemu_cli.instance.vm import VM
from qemu_cli.ui import printable

#: So many lines of a log are shown.
LOG_LINES = 200

#: What steers a terminal (ECMA-48): CSI and OSC sequences, and the rest.
_STEERING = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b."
)


class Question(ModalScreen[bool]):
    """Asks, and gives back whether the answer was yes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("y", "dismiss(True)", "Yes"),
        ("n,escape,q", "dismiss(False)", "No"),
    ]
    DEFAULT_CSS = """
    Question { align: center middle; }
    Question > Vertical {
        width: 60; height: auto; border: round $warning; padding: 0 1;
    }
    """

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Label(self._question, markup=False)
            yield Label("y: yes   n: no", markup=False)


class Log(ModalScreen[None]):
    """The last lines that a guest wrote to its serial port."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape,q,l", "dismiss", "Back"),
        ("end", "end", "End"),
    ]
    DEFAULT_CSS = """
    Log { align: center middle; }
    Log > VerticalScroll {
        width: 100%; height: 100%; border: round $primary;
    }
    """

    def __init__(self, vm: VM) -> None:
        super().__init__()
        self._vm = vm

    def compose(self) -> ComposeResult:
        scroll = VerticalScroll(Static(read_log(self._vm), markup=False))
        scroll.border_title = f"serial port of {printable(self._vm.name)}"
        scroll.border_subtitle = "Esc: back"
        yield scroll

    def on_mount(self) -> None:
        self.call_after_refresh(self.action_end)

    def action_end(self) -> None:
        scroll = self.query_one(VerticalScroll)
        scroll.scroll_end(animate=False)
        scroll.focus()


def read_log(vm: VM) -> str:
    """The last lines of the serial log, safe for a terminal."""
    path = vm.paths.serial_log
    data = b"".join(logs.read(path, logs.tail_offset(path, LOG_LINES)))
    lines = data.decode(errors="replace").splitlines()
    text = "\n".join(printable(_STEERING.sub("", line)) for line in lines)
    return text.strip() or "nothing yet"
