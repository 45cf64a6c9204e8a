"""The manual: pages about concepts, and man pages of the commands.

The pages in ``pages/`` are the source of three things: ``qemu help TOPIC``
(:mod:`~qemu_cli.manual.text`), ``man qemu-TOPIC``
(:mod:`~qemu_cli.manual.man`) and the HTML, which includes them.  What can be
told by the program itself is in none of them; they name a function of
:mod:`~qemu_cli.manual.generated` in its place.
"""

from pathlib import Path

from qemu_cli.errors import NotFoundError

PAGES = Path(__file__).with_name("pages")

#: What ``qemu help`` can explain, with the line that ``help --all`` shows.
TOPICS = {
    "config": "Settings: where they are looked up, and all there are",
    "exit-codes": "What the exit code of a command says",
    "files": "Every file and directory that is read or written",
    "formats": "Output for people and programs: -f, --columns, --filter",
    "json": "The keys and types of what each command prints as JSON",
    "names": "The ways to say which VM: names, patterns, pid:N, ORIGIN:NAME",
    "plugins": "What others can add: commands, columns, formats, hooks",
    "snapshots": "Internal and external snapshots, with and without RAM",
    "states": "The states of a VM, and how each is found out",
}


def source(topic: str) -> str:
    """The Markdown of a page.

    :raise NotFoundError: there is no such topic
    """
    if topic not in TOPICS:
        raise NotFoundError(f"there is no page about {topic!r}")
    return (PAGES / f"{topic}.md").read_text(encoding="utf-8")
