"""The human monitor, through QMP's ``human-monitor-command``.

It answers with text, also when it failed; QMP calls that a success.
"""

import re

from qemu_cli.errors import RefusedError

#: How failures begin or end (QEMU 7.2 and 10; monitor/hmp-cmds.c,
#: net/slirp.c).  What `info` prints begins with none of them.
_FAILED = re.compile(
    r"^(Error: |unknown command: |Try \"help |\S+: .* expected$"
    r"|unrecognized |Could not |could not |Invalid |invalid "
    r"|Device '.*' not found)"
    r"|not found\Z",
    re.MULTILINE,
)


def checked(command_line: str, text: str) -> str:
    """Take the answer to a command line, or raise what it says.

    :return: the text with ``\\n`` for the monitor's ``\\r\\n``
    :raise RefusedError: the text is an error message
    """
    text = text.replace("\r\n", "\n")
    is_question = command_line.split(None, 1)[:1] in (["info"], ["help"])
    unknown = text.startswith("unknown command: ")
    if unknown or (not is_question and _FAILED.search(text.strip())):
        raise RefusedError(
            f"'{command_line}': {text.strip()}",
            command="human-monitor-command",
        )
    return text
