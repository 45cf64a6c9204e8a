"""What plug-ins may use: everything else can change without a word.

``python -m qemu_cli.plugins.public`` prints all of it, a line for each
name; tests/data/api.txt is that, of the last release.
"""

import importlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from qemu_cli import API_VERSION, hookspecs

#: By module, in the order of the documentation.
PUBLIC: dict[str, tuple[str, ...]] = {
    "qemu_cli": ("API_VERSION", "__version__"),
    "qemu_cli.command": (
        "Command",
        "Lister",
        "ShowOne",
        "VMCommand",
        "Result",
        "Follower",
        "Parser",
    ),
    "qemu_cli.command.display": ("Table",),
    "qemu_cli.command.loop": ("run",),
    "qemu_cli.command.planned": ("Planned",),
    "qemu_cli.command.options": ("CreateOptions", "exclude"),
    "qemu_cli.columns": (
        "Size",
        "Rate",
        "Percent",
        "Duration",
        "State",
        "Names",
        "Named",
        "human",
        "plain",
    ),
    "qemu_cli.errors": (
        "QemuCliError",
        "UsageError",
        "NotFoundError",
        "StateError",
        "RefusedError",
        "BusyError",
        "TimedOutError",
        "PluginError",
        "DefinitionError",
        "ToolError",
        "ConnectionLostError",
    ),
    "qemu_cli.hookspecs": (
        "hookimpl",
        "VMFacts",
        "ProcessFacts",
        *(name for name in vars(hookspecs) if name.startswith("qemu_cli_")),
    ),
    "qemu_cli.conditions": ("Condition",),
    "qemu_cli.profiles.base": ("Profile",),
    "qemu_cli.units": (
        "parse_size",
        "parse_duration",
        "format_size",
        "format_duration",
        "format_rate",
    ),
    "qemu_cli.ui": ("UI", "printable"),
    "qemu_cli.app": ("QemuApp",),
    "qemu_cli.settings": (
        "CONNECT_TIMEOUT",
        "FORWARD_HOST",
        "LIST_FOREIGN",
        "LOCK_TIMEOUT",
        "PROBE_TIMEOUT",
        "SHUTDOWN_TIMEOUT",
        "START_TIMEOUT",
    ),
    "qemu_cli.instance.host": ("Host",),
    "qemu_cli.instance.vm": ("VM",),
    "qemu_cli.instance.resolve": ("resolve", "anyone", "select"),
    "qemu_cli.instance.facts": ("Facts", "from_argv"),
    "qemu_cli.instance.inside": ("NoAgentError", "agent", "check_can_hear"),
    "qemu_cli.instance.quiesce": ("quiesced",),
    "qemu_cli.instance.disks.done": ("Done",),
    "qemu_cli.instance.parts": ("Newborn", "NewFile", "Parts"),
    "qemu_cli.instance.shares.wish": ("ShareWish", "parse_share"),
    "qemu_cli.instance.shares.choose": ("choose",),
    "qemu_cli.instance.shares.rows": ("Row", "rows"),
    "qemu_cli.instance.shares.change": ("add", "remove"),
    "qemu_cli.instance.wish": ("ForwardWish", "parse_forward"),
    "qemu_cli.instance.forwards.rows": ("Row", "rows"),
    "qemu_cli.instance.forwards.change": ("add", "remove"),
    "qemu_cli.instance.net.addresses": ("addresses",),
    "qemu_cli.instance.net.cards": ("Card", "Found", "look"),
    "qemu_cli.instance.net.connections": ("Connection", "connections"),
    "qemu_cli.instance.net.links": ("set_link",),
    "qemu_cli.instance.net.capture": ("Wanted", "Captured", "capture"),
    "qemu_cli.instance.pause": ("pause", "resume"),
    "qemu_cli.instance.shutdown": ("shutdown", "quit_", "kill"),
    "qemu_cli.instance.logs": ("tail_offset", "read", "follow"),
    "qemu_cli.instance.stats.sample": ("Sample",),
    "qemu_cli.instance.stats.sampler": ("Sampler",),
    "qemu_cli.instance.stats.rates": ("Usage", "usage"),
    "qemu_cli.qmp.session": ("Session", "Listener", "Event"),
    "qemu_cli.qmp.agent": (
        "Agent",
        "AgentInfo",
        "Finished",
        "Interface",
    ),
    "qemu_cli.qmp.agent.files": ("READ_BYTES", "WRITE_BYTES"),
    "qemu_cli.qmp.address": ("Monitors",),
    "qemu_cli.qmp.sessions": ("Sessions",),
    "qemu_cli.external": ("replace_us",),
    "qemu_cli.files": ("write_atomically",),
    "qemu_cli.paths": ("Paths", "InstancePaths"),
    "qemu_cli.deprecation": (
        "ApiDeprecationWarning",
        "deprecated",
        "renamed",
    ),
    "qemu_cli.testing.plugin": (
        "fake_agent",
        "fake_qmp",
        "qemu_home",
        "real_qemu",
        "short_dir",
        "tiny_guest",
        "TinyGuest",
    ),
    "qemu_cli.testing.home": ("QemuHome", "Result"),
    "qemu_cli.testing.fake_qmp": ("FakeQmp", "FakeAgent"),
    "qemu_cli.testing.real_qemu": ("RealQemu",),
}

_CLASSES = {name for names in PUBLIC.values() for name in names}


def lines() -> Iterator[str]:
    """All public names with their arguments, one line each.

    Without types: how Python spells them changes from version to version.
    """
    yield f"API {'.'.join(map(str, API_VERSION))}"
    for module, names in PUBLIC.items():
        for name in names:
            thing = getattr(importlib.import_module(module), name)
            yield from _described(f"{module}.{name}", thing)


def _described(name: str, thing: Any) -> Iterator[str]:
    if inspect.isclass(thing):
        yield f"{name}{_signature(thing)}"
        for member in sorted(_members(thing)):
            value = inspect.getattr_static(thing, member, None)
            if isinstance(value, classmethod | staticmethod):
                value = value.__func__
            call = inspect.isfunction(value)
            yield f"{name}.{member}{_signature(value) if call else ''}"
    elif callable(thing) and _is_ours(thing):
        yield f"{name}{_signature(thing)}"
    else:
        yield name


def _members(thing: type) -> set[str]:
    """The public names that it has, but for those of public bases."""
    found: set[str] = set()
    for base in thing.__mro__:
        listed = base is not thing and base.__name__ in _CLASSES
        if _is_ours(base) and not listed:
            found |= {*vars(base), *inspect.get_annotations(base)}
    return {name for name in found if not name.startswith("_")}


def _is_ours(thing: Any) -> bool:
    return str(thing.__module__).partition(".")[0] == "qemu_cli"


def _signature(thing: Callable[..., Any]) -> str:
    try:
        signature = inspect.signature(_plain(thing))
    except (TypeError, ValueError):
        return ""  # what C makes has none
    empty = inspect.Parameter.empty
    parameters = [
        each.replace(
            annotation=empty,
            default=_default(each.default),
        )
        for each in signature.parameters.values()
    ]
    return str(inspect.Signature(parameters, __validate_parameters__=False))


class _Gap:
    """A default whose text would not be the same everywhere."""

    def __repr__(self) -> str:
        return "…"


def _default(value: Any) -> Any:
    simple = type(value) in (type(None), str, bool, int, float, tuple)
    return value if simple or value is inspect.Parameter.empty else _Gap()


def _plain(thing: Any) -> Any:
    """What stands behind a pytest fixture."""
    return inspect.unwrap(getattr(thing, "__wrapped__", thing))


if __name__ == "__main__":
    for line in lines():
        print(line)  # noqa: T201
