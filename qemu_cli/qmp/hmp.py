"""The human monitor, through QMP's ``human-monitor-command``.

It answers with text, also when it failed; QMP calls that a success.
"""

import re

from qemu_cli.errors import RefusedError

#: How failures look (QEMU 7.2 and 10: monitor/hmp.c, hmp-cmds.c,
#: net/slirp.c); there is no mark that all of them have.
_FAILED = re.compile(
    r"^(Error: |Error opening |Try \"help |\S+: .* expected$"
    r"|Could not |Invalid |invalid |unrecognized |unknown "
    r"|Device '.*' not found|user mode network stack not in use)"
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
