"""The plug-ins that are installed: what they add, cost and do wrong.

Nothing of a plug-in is imported into this process: whatever it does then,
it is only named for it.
"""

from typing import NamedTuple

#: What each entry-point group adds, in the order in which it is shown.
KINDS = {
    "qemu_cli.commands": "command",
    "qemu_cli.columns.list": "column",
    "qemu_cli.formatters.list": "format",
    "qemu_cli.formatters.show": "format of one thing",
    "qemu_cli.hooks": "hook",
    "qemu_cli.profiles": "profile",
    "qemu_cli.conditions": "condition",
    "qemu_cli.options.create": "option",
}


class Part(NamedTuple):
    """One thing that a plug-in adds.

    :param kind: a value of :data:`KINDS`, or the group if it is none
    :param name: as a user types it
    :param target: the module, and mostly what is in it
    :param problem: why it can't be used; None: it can
    :param fix: what to do about that
    :param notes: what its author should know
    :param import_s: how long its import took; None: it was not imported
    :param hooks: the hooks that it takes part in
    """

    kind: str
    name: str
    target: str
    problem: str | None = None
    fix: str | None = None
    notes: tuple[str, ...] = ()
    import_s: float | None = None
    hooks: tuple[str, ...] = ()


class Plugin(NamedTuple):
    """One distribution.

    :param api: the version of the API that it says it needs, or None
    :param problem: why none of it can be used; None: it can
    """

    name: str
    version: str
    summary: str
    enabled: bool
    api: str | None
    parts: tuple[Part, ...]
    problem: str | None = None
    fix: str | None = None

    @property
    def import_s(self) -> float | None:
        """How long the import of all its parts took."""
        return _sum(self.parts)

    @property
    def hooks_s(self) -> float | None:
        """What every command that changes a VM waits for."""
        return _sum([part for part in self.parts if part.kind == "hook"])

    @property
    def problems(self) -> list[str]:
        """All that is wrong with it."""
        own = [self.problem] if self.problem else []
        return own + [part.problem for part in self.parts if part.problem]

    @property
    def slow(self) -> str | None:
        """Why others wait for it; None: they don't."""
        if (taken := self.hooks_s or 0.0) > SLOW_HOOKS_S:
            return (
                f"its hooks take {taken:.2f} s to import, and every command "
                "that changes a VM waits for them"
            )
        if (taken := self.import_s or 0.0) > SLOW_S:
            return f"all of it takes {taken:.1f} s to import"
        return None

    @property
    def status(self) -> str:
        """One word: disabled, broken, slow or ok."""
        if not self.enabled:
            return "disabled"
        if self.problems:
            return "broken"
        return "slow" if self.slow else "ok"


#: Longer is slow (seconds).  Starting a VM takes about 0.3 s.
SLOW_HOOKS_S = 0.1
SLOW_S = 3.0


def _sum(parts: "list[Part] | tuple[Part, ...]") -> float | None:
    taken = [part.import_s for part in parts if part.import_s is not None]
    return sum(taken) if taken else None
