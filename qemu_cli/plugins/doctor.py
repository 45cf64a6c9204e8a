"""What ``qemu plugin doctor`` says."""

from collections.abc import Iterator, Sequence

from qemu_cli import settings
from qemu_cli.config import Config
from qemu_cli.instance.doctor.check import Check, fail, ok, warn
from qemu_cli.plugins import Plugin, inventory


def examine(config: Config, words: Sequence[str] = ()) -> list[Check]:
    """Check the plug-ins that are named, or else all.

    :raise NotFoundError: there is no such plug-in
    """
    every = inventory.found()
    names = {inventory.require(word, every) for word in words}
    checks = [
        check
        for plugin, name in zip(inventory.look(config), every, strict=True)
        if not names or name in names
        for check in _checks(plugin)
    ]
    if not names:
        for gone in sorted(config[settings.PLUGIN_DISABLED] - {*every}):
            fix = f"qemu plugin enable {gone}"
            checks.append(warn(gone, "is disabled, and not installed", fix))
    return checks or [ok("plug-ins", "none is installed")]


def _checks(plugin: Plugin) -> Iterator[Check]:
    name = plugin.name
    if not plugin.enabled:
        yield ok(name, "is disabled, so it was not imported")
        return
    if plugin.problem:
        yield fail(name, plugin.problem, plugin.fix)
    for part in plugin.parts:
        if part.problem:
            yield fail(name, part.problem, part.fix)
        for note in part.notes:
            yield warn(name, f"the {part.kind} {part.name!r}: {note}")
    if plugin.slow:
        yield warn(name, plugin.slow, f"qemu plugin disable {name}")
    if plugin.status == "ok":
        count = len(plugin.parts)
        parts = f"{count} thing{'s' * (count != 1)}"
        taken = plugin.import_s or 0.0
        yield ok(name, f"adds {parts}, imported in {taken * 1000:.0f} ms")
