"""What a guest wrote, made harmless for a terminal.

A guest may write any bytes to its serial port, and escape sequences
(ECMA-48) can do more than colour: move the cursor over what stands there,
set the window's title, make the terminal type.
"""

import codecs
import re

from qemu_cli.ui import printable

_SEQUENCE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, the cursor …
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC, DCS and their like
    r"|\x1b[ -/]*[0-OQ-WYZ\\`-~]"  # the short ones
)
_UNFINISHED = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b]*\x1b?|[ -/]*)?\Z|\r+\Z"
)
#: An escape sequence that is longer than this is none.
_SEQUENCE_MAX = 4096

_LINE_END = re.compile(r"\r+\n|\r+")


class GuestText:
    """Turns what a guest wrote into text, piece by piece."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def feed(self, data: bytes, *, final: bool = False) -> str:
        """Take the next piece; what may be half a sequence is kept back.

        Escape sequences are dropped, ends of lines are made ``\\n``, and
        other control characters are shown as ``\\x07``.

        :param final: nothing follows
        """
        text = self._rest + self._decoder.decode(data, final)
        self._rest = ""
        text = _SEQUENCE.sub("", text)
        unfinished = _UNFINISHED.search(text)
        if unfinished and not final and len(unfinished[0]) < _SEQUENCE_MAX:
            self._rest = unfinished[0]
            text = text[: unfinished.start()]
        text = _LINE_END.sub("\n", text)
        return "".join(
            part if part in "\n\t" else printable(part)
            for part in re.split(r"([\n\t])", text)
        )
