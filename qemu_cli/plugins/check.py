"""Whether what a plug-in names is what we take it for."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from qemu_cli import hookspecs
from qemu_cli.command import Command
from qemu_cli.command.options import CreateOptions
from qemu_cli.conditions import Condition
from qemu_cli.errors import QemuCliError
from qemu_cli.profiles.base import Profile
from qemu_cli.suggest import did_you_mean

_HOOK = f"{hookspecs.PROJECT}_"


class Found(NamedTuple):
    """What is wrong with something that could be imported.

    :param error: why it can't be used
    :param notes: what its author should know
    :param hooks: the hooks that it implements
    """

    error: str | None = None
    notes: tuple[str, ...] = ()
    hooks: tuple[str, ...] = ()


def check(group: str, thing: object) -> Found:
    """Look at what an entry point of a group named."""
    return _CHECKS[group](thing)


def _command(thing: Any) -> Found:
    if not (inspect.isclass(thing) and issubclass(thing, Command)):
        return Found(f"no subclass of qemu_cli.command.Command: {thing!r}")
    try:
        thing(None, None).get_parser("qemu x")  # type: ignore[arg-type]
    except (Exception, SystemExit) as error:  # noqa: BLE001
        text = f"its options: {type(error).__name__}: {error}"
        if isinstance(error, QemuCliError):
            text = f"its options: {error}"
        return Found(text)
    notes = []
    if not thing.__doc__ or not thing.__doc__.strip():
        notes.append("it has no docstring, so --help says nothing about it")
    if not thing.examples:
        notes.append("it has no examples for --help")
    return Found(notes=tuple(notes))


def _column(thing: Any) -> Found:
    if not callable(thing):
        return Found(f"no function of a VM: {thing!r}")
    return Found()


def _has(*methods: str) -> Callable[[Any], Found]:
    def look(thing: Any) -> Found:
        for method in methods:
            if not callable(getattr(thing, method, None)):
                return Found(f"it has no method {method}: {thing!r}")
        return Found()

    return look


def _subclass(base: type) -> Callable[[Any], Found]:
    name = f"{base.__module__}.{base.__qualname__}"

    def look(thing: Any) -> Found:
        if not (inspect.isclass(thing) and issubclass(thing, base)):
            return Found(f"no subclass of {name}: {thing!r}")
        if missing := sorted(getattr(thing, "__abstractmethods__", ())):
            return Found(f"it lacks {', '.join(missing)}")
        return Found()

    return look


def _hooks(thing: Any) -> Found:
    known = [name for name in vars(hookspecs) if name.startswith(_HOOK)]
    hooks, problems = [], []
    for name in dir(thing):
        member = inspect.getattr_static(thing, name)
        if not name.startswith(_HOOK) or not callable(member):
            continue
        if name not in known:
            near = did_you_mean(name, known)
            problems.append(
                f"there is no hook {name}" + (f" ({near})" if near else "")
            )
        elif not hasattr(member, f"{hookspecs.PROJECT}_impl"):
            problems.append(f"{name} is not marked with @hookimpl")
        elif wrong := _unknown_arguments(member, getattr(hookspecs, name)):
            problems.append(f"{name} has no argument {', '.join(wrong)}")
        else:
            hooks.append(name.removeprefix(_HOOK))
    if not hooks and not problems:
        problems.append(f"it has no function {_HOOK}… marked with @hookimpl")
    return Found("; ".join(problems) or None, hooks=tuple(hooks))


def _unknown_arguments(member: Any, specification: Any) -> list[str]:
    known = {"self", *inspect.signature(specification).parameters}
    return [
        name
        for name, each in inspect.signature(member).parameters.items()
        if name not in known and each.default is inspect.Parameter.empty
    ]


_CHECKS: dict[str, Callable[[Any], Found]] = {
    "qemu_cli.commands": _command,
    "qemu_cli.columns.list": _column,
    "qemu_cli.formatters.list": _has("emit_list"),
    "qemu_cli.formatters.show": _has("emit_one"),
    "qemu_cli.hooks": _hooks,
    "qemu_cli.profiles": _subclass(Profile),
    "qemu_cli.conditions": _subclass(Condition),
    "qemu_cli.options.create": _subclass(CreateOptions),
}
