"""The tree of snapshots as ``git log --graph`` would draw it.  Pure.

::

    * (today)
    * s4
    | * s3
    | * s2
    |/
    * s1

What is newer stands above what it was made from, and today's line is on
the left.  Branches are drawn one after the other, so that no two lines
ever cross.
"""

from typing import NamedTuple

from qemu_cli.instance.snapshots.listing import Found, Seen


class Line(NamedTuple):
    """One line of the drawing.

    :param lines: what stands to the left of the name
    :param seen: the snapshot; None: it is today, or only lines
    """

    lines: str
    seen: Seen | None = None
    today: bool = False


def draw(found: Found) -> list[Line]:
    """Draw all snapshots of a VM, those that are not ours last."""
    seen = {each.snapshot.key: each for each in found.seen if each.ours}
    todays = {each.key for each in found.tree.line(found.tree.current)}
    children: dict[str | None, list[str]] = {}
    for key in sorted(
        seen,
        key=lambda key: (key in todays, seen[key].snapshot.created_s),
        reverse=True,
    ):
        children.setdefault(seen[key].snapshot.parent, []).append(key)
    lines = []
    if found.tree.current is None and seen:
        lines.append(Line("* ", today=True))
    # What is left to do, the next one last: a snapshot with all above it,
    # the snapshot alone, or the place where a branch ends in it.
    todo = [("all", key, 0) for key in reversed(children.get(None, []))]
    while todo:
        what, key, depth = todo.pop()
        if what == "one":
            lines.append(Line("| " * depth + "* ", seen[key]))
        elif what == "join":
            lines.append(Line("| " * depth + "|/"))
        else:
            todo.append(("one", key, depth))
            above = children.get(key, [])
            on_today = key == found.tree.current
            for place in range(len(above) - 1, -1, -1):
                branch = place + on_today > 0
                if branch:
                    todo.append(("join", key, depth))
                todo.append(("all", above[place], depth + branch))
            if on_today:
                lines.append(Line("| " * depth + "* ", today=True))
    lines += [Line("* ", each) for each in found.seen if not each.ours]
    return lines
