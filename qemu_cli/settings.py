"""Every setting, declared once: name, type, default, meaning, scopes.

A setting is read as ``config[settings.LOCK_TIMEOUT]``.  What destroys or
confirms has no setting on purpose.
"""

import re
from collections.abc import Callable
from typing import Generic, TypeVar

from qemu_cli.errors import UsageError
from qemu_cli.units import parse_duration, parse_size

_T = TypeVar("_T")


class Setting(Generic[_T]):
    """One setting.

    :param name: the dotted key; it ends in ``.*`` for a family of keys
    :param default: as the user would write it
    :param doc: one line for the reference
    :param kind: the type's name in the reference
    :param parse: turns the text into the value, or raises UsageError
    :param instance: may an instance's own configuration set it?
    """

    def __init__(
        self,
        name: str,
        default: str,
        doc: str,
        *,
        kind: str,
        parse: Callable[[str], _T],
        instance: bool = True,
    ) -> None:
        self.name = name
        self.default = default
        self.doc = doc
        self.kind = kind
        self.parse = parse
        self.instance = instance
        SETTINGS[name] = self  # type: ignore[assignment]

    @classmethod
    def unlisted(
        cls, name: str, *, kind: str, parse: Callable[[str], _T]
    ) -> "Setting[_T]":
        """One that is not in the table: the default of an option."""
        one = object.__new__(cls)
        one.__dict__.update(
            {"name": name, "default": "", "doc": "", "kind": kind},
            parse=parse,
            instance=False,
        )
        return one

    @property
    def family(self) -> str | None:
        """``"alias."`` for ``alias.*``; None for a single setting."""
        return self.name[:-1] if self.name.endswith(".*") else None

    def of(self, member: str) -> "Setting[_T]":
        """One member of the family, such as ``QEMU_BINARY.of("arm")``."""
        one = object.__new__(type(self))
        one.__dict__.update(self.__dict__, name=self.name[:-1] + member)
        return one


#: By name, in the order of the reference.
SETTINGS: dict[str, Setting[object]] = {}


def find(key: str) -> Setting[object] | None:
    """The setting that a key belongs to, families included."""
    if setting := SETTINGS.get(key):
        return setting if setting.family is None else None
    for setting in SETTINGS.values():
        family = setting.family
        if family and key.startswith(family) and key != family:
            return setting.of(key.removeprefix(family))
    return None


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 0 < int(text) < 10**6:
        raise UsageError(f"not a whole number above 0: {text!r}")
    return int(text)


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise UsageError(f"{text!r} is not one of {', '.join(words)}")
        return text

    return parse


#: How git spells it, and TOML, and people.
_YES_NO = {
    **dict.fromkeys(("yes", "true", "on", "1"), True),
    **dict.fromkeys(("no", "false", "off", "0"), False),
}


def parse_yes_no(text: str) -> bool:
    """Read yes or no, true or false, on or off, 1 or 0.

    :raise UsageError: it is none of them
    """
    try:
        return _YES_NO[text.lower()]
    except KeyError:
        raise UsageError(f"{text!r} is neither yes nor no") from None


def normalized(name: str) -> str:
    """The name of a distribution as all spell it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _distributions(text: str) -> frozenset[str]:
    words = text.replace(",", " ").split()
    for word in words:
        if not re.fullmatch(r"[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?", word, re.A):
            raise UsageError(f"not the name of a distribution: {word!r}")
    return frozenset(normalized(word) for word in words)


LOCK_TIMEOUT = Setting(
    "lock.timeout",
    "10s",
    "how long to wait for another command on the same VM",
    kind="duration",
    parse=parse_duration,
)
PROBE_TIMEOUT = Setting(
    "probe.timeout",
    "1s",
    "how long `list` waits for the answers of all monitors",
    kind="duration",
    parse=parse_duration,
    instance=False,
)
LIST_FOREIGN = Setting(
    "list.foreign",
    "yes",
    "whether `list` shows VMs that others started",
    kind="yes|no",
    parse=parse_yes_no,
    instance=False,
)
CONNECT_TIMEOUT = Setting(
    "connect.timeout",
    "5s",
    "how long a monitor may take to greet",
    kind="duration",
    parse=parse_duration,
)
START_TIMEOUT = Setting(
    "start.timeout",
    "30s",
    "how long QEMU may take until its monitor answers",
    kind="duration",
    parse=parse_duration,
)
SHUTDOWN_TIMEOUT = Setting(
    "shutdown.timeout",
    "60s",
    "how long a guest may take to shut down",
    kind="duration",
    parse=parse_duration,
)
JOBS_PARALLEL = Setting(
    "jobs.parallel",
    "8",
    "on how many VMs a command works at the same time",
    kind="count",
    parse=_count,
    instance=False,
)
FORMAT_LIST = Setting(
    "format.list",
    "table",
    "the output format of commands that list",
    kind="text",
    parse=str,
    instance=False,
)
FORMAT_SHOW = Setting(
    "format.show",
    "table",
    "the output format of commands that show one thing",
    kind="text",
    parse=str,
    instance=False,
)
TEMPLATE_LIST = Setting(
    "template.list",
    "",
    "a line of `-f template`, such as '{name} {state}'",
    kind="text",
    parse=str,
    instance=False,
)
TEMPLATE_SHOW = Setting(
    "template.show",
    "",
    "the same for commands that show one thing",
    kind="text",
    parse=str,
    instance=False,
)
ACCEL = Setting(
    "accel",
    "auto",
    "the accelerator of new instances: auto, kvm or tcg",
    kind="auto|kvm|tcg",
    parse=_one_of("auto", "kvm", "tcg"),
    instance=False,
)
MEMORY = Setting(
    "memory",
    "1G",
    "the memory of new instances",
    kind="size",
    parse=parse_size,
    instance=False,
)
CPUS = Setting(
    "cpus",
    "1",
    "the number of CPUs of new instances",
    kind="count",
    parse=_count,
    instance=False,
)
PROFILE = Setting(
    "profile",
    "",
    "the profile of new instances; empty: the architecture's usual one",
    kind="text",
    parse=str,
    instance=False,
)
FORWARD_HOST = Setting(
    "forward.host",
    "127.0.0.1",
    "the host address of the forwarded ports of new instances",
    kind="text",
    parse=str,
    instance=False,
)
QEMU_PATH = Setting(
    "qemu.path",
    "",
    "a directory in which QEMU's programs are looked for first",
    kind="text",
    parse=str,
    instance=False,
)
QEMU_BINARY = Setting(
    "qemu.binary.*",
    "",
    "the QEMU for one architecture, such as qemu.binary.x86_64",
    kind="text",
    parse=str,
    instance=False,
)
SNAPSHOT_MAX_FREEZE = Setting(
    "snapshot.max-freeze",
    "10s",
    "how long a snapshot may hold up a guest without being asked about",
    kind="duration",
    parse=parse_duration,
)
LOG_SERIAL_MAX = Setting(
    "log.serial-max",
    "64M",
    "the size at which the serial log is rotated",
    kind="size",
    parse=parse_size,
)
EDITOR = Setting(
    "core.editor",
    "",
    "the editor; empty: $VISUAL, $EDITOR, vi",
    kind="text",
    parse=str,
    instance=False,
)
PAGER = Setting(
    "core.pager",
    "",
    "the pager of what does not fit on the screen; empty: $PAGER, less",
    kind="text",
    parse=str,
    instance=False,
)
PAGER_OF = Setting(
    "pager.*",
    "",
    "for one command, such as pager.snapshot.list: yes, no, or a pager",
    kind="yes|no|text",
    parse=str,
    instance=False,
)
COLOR = Setting(
    "color.ui",
    "auto",
    "colour states in tables: auto (on a terminal, without NO_COLOR), "
    "always or never",
    kind="auto|always|never",
    parse=_one_of("auto", "always", "never"),
    instance=False,
)
PLUGIN_DISABLED = Setting(
    "plugin.disabled",
    "",
    "plug-ins that are not used, such as 'qemu-cli-hello, qemu-cli-top'",
    kind="names",
    parse=_distributions,
    instance=False,
)
PLUGIN_TIMEOUT = Setting(
    "plugin.timeout",
    "10s",
    "how long `plugin list` waits for the import of one thing",
    kind="duration",
    parse=parse_duration,
    instance=False,
)
ALIAS = Setting(
    "alias.*",
    "",
    "a command of your own, such as alias.up = 'start --console'",
    kind="text",
    parse=str,
    instance=False,
)


def _advice(name: str, doc: str) -> Setting[bool]:
    return Setting(
        f"advice.{name}",
        "yes",
        f"the hint {doc}",
        kind="yes|no",
        parse=parse_yes_no,
        instance=False,
    )


#: By the last word of their key; see ``UI.advise``.
ADVICE = {
    name: _advice(name, doc)
    for name, doc in {
        "accel": "that a guest will be emulated, and what to do about it",
        "autostart": "what autostart needs beside the unit",
        "capture": "what to do with a captured definition",
        "errors": "below an error: what to do next",
        "freeze": "how a snapshot would hold up the guest for less time",
        "image-check": "how to repair an image",
        "plugins": "how to get a plug-in, and how to install a new one",
    }.items()
}
