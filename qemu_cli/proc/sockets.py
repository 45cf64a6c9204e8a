"""The sockets of a network namespace, as /proc/PID/net shows them."""

from typing import NamedTuple


class UnixSocket(NamedTuple):
    """A line of /proc/PID/net/unix that has a name."""

    inode: int
    state: int  # see CONNECTED and WAITING
    listening: bool
    path: str  # as it was bound: perhaps relative; @ is abstract


#: States of the server's end of a connection: accepted, or in the queue.
CONNECTED = 3
WAITING = 2

_LISTENING = 0x10000  # the flag __SO_ACCEPTCON


def parse_unix(text: str) -> dict[str, list[UnixSocket]]:
    """Parse net/unix: Num RefCount Protocol Flags Type St Inode Path."""
    table: dict[str, list[UnixSocket]] = {}
    for line in text.splitlines()[1:]:
        fields = line.split(maxsplit=7)
        if len(fields) < 8 or not fields[6].isdecimal():
            continue  # no name; or a name with a newline in it
        flags, state, path = int(fields[3], 16), int(fields[5]), fields[7]
        table.setdefault(path, []).append(
            UnixSocket(int(fields[6]), state, bool(flags & _LISTENING), path)
        )
    return table
