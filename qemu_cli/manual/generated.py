"""What the manual says of the program, told by the program, as Markdown."""

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path

from qemu_cli import errors, extensions, settings
from qemu_cli.paths import InstancePaths, Paths


def make(name: str) -> str:
    """The Markdown of ``{program-NAME}``.

    :raise KeyError: there is no such part
    """
    return PARTS[name]()


def error_classes() -> Iterator[type[errors.QemuCliError]]:
    """The error classes, by exit code."""
    classes = (getattr(errors, name) for name in errors.__all__)
    return iter(sorted(classes, key=lambda one: one.exit_code))


def exit_codes() -> str:
    """One line for each error class, and the codes that have none."""
    lines = ["| code | error | meaning |", "|---|---|---|"]
    lines.append("| 0 | | success |")
    for one in error_classes():
        meaning = (one.__doc__ or "").splitlines()[0]
        lines.append(f"| {one.exit_code} | `{one.__name__}` | {meaning} |")
    lines += [
        "| 130 | | interrupted (Ctrl-C) |",
        "| 141 | | nobody reads the output (a closed pipe) |",
    ]
    return "\n".join(lines)


def settings_table() -> str:
    """One line for each setting."""
    lines = ["| setting | type | default | what it is |", "|---|---|---|---|"]
    for setting in settings.SETTINGS.values():
        default = f"`{setting.default}`" if setting.default else ""
        kind = setting.kind.replace("|", "\\|")
        scope = "" if setting.instance else " (not in an instance)"
        lines.append(
            f"| `{setting.name}` | {kind} | {default} | {setting.doc}{scope} |"
        )
    return "\n".join(lines)


def formats() -> str:
    """One line for each format: the first of its class."""
    lines = ["| format | what it is |", "|---|---|"]
    for name, entry in extensions.own("qemu_cli.formatters.list").items():
        doc = inspect.getdoc(extensions.load(entry)) or ""
        lines.append(f"| `{name}` | {doc.splitlines()[0]} |")
    return "\n".join(lines)


def files() -> str:
    """What lies in the directory of an instance, and in that of a run."""
    directory, runtime = Path("web"), Path("run/web")
    paths = InstancePaths(directory, runtime)
    lines = ["| file | what it is |", "|---|---|"]
    for name, doc in _properties(InstancePaths):
        value = getattr(paths, name)
        every = value if isinstance(value, tuple) else (value,)
        lines += (f"| `{path}` | {doc} |" for path in every)
    return "\n".join(lines)


def places() -> str:
    """What lies beside the instances."""
    config = "~/.config/qemu-cli"
    paths = Paths(
        data=Path("~/.local/share/qemu-cli"),
        state=Path("~/.local/state/qemu-cli"),
        cache=Path("~/.cache/qemu-cli"),
        config=Path(config),
    )
    lines = ["| place | what it is |", "|---|---|"]
    lines += [
        f"| `{paths.system_config}` | The host's settings. |",
        f"| `{paths.user_config}` | The user's settings. |",
        f"| `{paths.instances}` | The instances, a directory each. |",
        f"| `{paths.runtime}` | Sockets and locks, a directory each run. |",
        f"| `{paths.cache}` | What can be thrown away. |",
    ]
    lines += (
        f"| `{getattr(paths, name)}` | {doc} |"
        for name, doc in _properties(Paths)
    )
    return "\n".join(lines)


def schemas() -> str:
    """One table for each command whose output has a schema."""
    from qemu_cli.manual.schemas import OUTCOME, SCHEMAS

    parts = []
    for words, schema in SCHEMAS.items():
        what = "an array of objects" if schema.rows else "an object"
        parts += [f"## qemu {words}: {what}", _keys(schema.keys)]
    parts += ["## Commands on VMs: an array of objects", _keys(OUTCOME.keys)]
    return "\n\n".join(parts)


def _keys(keys: dict[str, str]) -> str:
    lines = ["| key | type |", "|---|---|"]
    for key, kind in keys.items():
        text = kind.replace("?", " or null")
        lines.append(f"| `{key}` | {text} |")
    return "\n".join(lines)


def _properties(owner: type) -> Iterator[tuple[str, str]]:
    for name, value in vars(owner).items():
        if isinstance(value, property) and name != "name":
            yield name, (inspect.getdoc(value) or "").splitlines()[0]


#: The directives of the pages, which the HTML knows under the same names.
PARTS: dict[str, Callable[[], str]] = {
    "exit-codes": exit_codes,
    "settings": settings_table,
    "formats": formats,
    "files": files,
    "places": places,
    "schemas": schemas,
}
