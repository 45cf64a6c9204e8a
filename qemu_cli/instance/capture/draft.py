"""What becomes of each word of a command line, while it is worked out."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from qemu_cli.instance.capture.live import Device
from qemu_cli.instance.capture.words import Option


class Note(NamedTuple):
    """What a definition has no word of its own for.

    :param fate: ``kept``: it stands in ``qemu_args`` as it was;
        ``changed``: the new machine has something else in its place;
        ``dropped``: it has nothing; ``differs``: it is not about a word
    :param word: of the command line, or what it is about
    :param why: for people
    :param now: what stands in its place, or ``""``
    """

    fate: str
    word: str
    why: str
    now: str = ""


_NO_KEY = "the definition has no key for it"


class Draft:
    """The options that are left, and what was decided about the others.

    :param options: all of the command line
    """

    def __init__(self, options: Sequence[Option]) -> None:
        self.options = list(options)
        self.notes: list[Note] = []
        #: Why something was left to be kept as it is, by its number.
        self.why: dict[int, str] = {}
        #: Devices without an id, by the numbers of their options.
        self.nameless: dict[int, Device] = {}
        self._args: dict[int, tuple[str, ...]] = {}

    def left(self, *names: str) -> Iterator[Option]:
        """Options of these names that nobody has decided about."""
        for option in self.options:
            if option.number not in self._args and (
                not names or option.name in names
            ):
                yield option

    def has(self, *names: str) -> bool:
        """Whether the command line has an option of these names."""
        return any(option.name in names for option in self.options)

    def typed(self, *options: Option) -> None:
        """A key of the definition says it."""
        for option in options:
            self._args[option.number] = ()

    def keep(self, option: Option, why: str = "") -> None:
        """It goes into ``qemu_args`` as it is."""
        self._args[option.number] = option.words
        why = why or self.why.get(option.number) or _NO_KEY
        self.notes.append(Note("kept", option.text, why))

    def change(self, option: Option, words: Iterable[str], why: str) -> None:
        """Other words go into ``qemu_args`` in its place."""
        self._args[option.number] = found = tuple(words)
        if found == option.words:
            return  # an instance has it so
        self.notes.append(Note("changed", option.text, why, " ".join(found)))

    def rewrite(self, option: Option, value: str, why: str) -> None:
        """The same option with another value goes there."""
        if option.number in self.why:
            why = f"{self.why[option.number]}; {why}"
        if value == (option.value or ""):
            self.keep(option)
        else:
            self.change(option, (f"-{option.name}", value), why)

    def drop(self, option: Option, why: str) -> None:
        """Nothing stands in its place."""
        self._args[option.number] = ()
        self.notes.append(Note("dropped", option.text, why))

    def differs(self, what: str, why: str, now: str = "") -> None:
        """Note what is no matter of one word."""
        self.notes.append(Note("differs", what, why, now))

    def add(self, *words: str) -> None:
        """Add what QEMU has without being told, but not with us."""
        self._args[len(self.options) + len(self._args)] = words

    @property
    def args(self) -> tuple[str, ...]:
        """The ``qemu_args``, in the order of the command line."""
        return tuple(
            word
            for number in sorted(self._args)
            for word in self._args[number]
        )
