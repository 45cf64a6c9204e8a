"""Finding all plug-ins, and what is wrong with them."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from importlib import metadata
from importlib.metadata import Distribution, EntryPoint

from qemu_cli import extensions, settings
from qemu_cli.config import Config
from qemu_cli.errors import NotFoundError, PluginError
from qemu_cli.plugins import KINDS, Part, Plugin, trial
from qemu_cli.plugins.trial import Outcome
from qemu_cli.settings import normalized
from qemu_cli.suggest import did_you_mean

_PREFIX = "qemu_cli."

#: Hooks first: what they import, others wait for.
_ORDER = ["qemu_cli.hooks", *KINDS]


def found(*, built_in: bool = False) -> dict[str, Distribution]:
    """The distributions that add something, by normalized name; sorted.

    Reads metadata, and imports nothing.

    :param built_in: with our own
    """
    plugins: dict[str, Distribution] = {}
    seen = set()
    for distribution in metadata.distributions():
        name = normalized(distribution.name)
        if name in seen:
            continue  # the first on sys.path is the one that is imported
        seen.add(name)
        if name == extensions.DISTRIBUTION and not built_in:
            continue
        if _entries(distribution):
            plugins[name] = distribution
    return dict(sorted(plugins.items()))


def require(word: str, names: Collection[str]) -> str:
    """The plug-in that a user means: ``hello`` is ``qemu-cli-hello``.

    :param names: normalized ones
    :raise NotFoundError: there is none; names the nearest
    """
    name = normalized(word)
    for each in (name, f"{extensions.DISTRIBUTION}-{name}"):
        if each in names:
            return each
    known = ", ".join(sorted(names)) or "none is installed"
    raise NotFoundError(
        f"there is no plug-in {word!r}; known: {known}",
        hint=did_you_mean(name, names),
    )


def look(
    config: Config,
    *,
    built_in: bool = False,
    only: str | None = None,
) -> list[Plugin]:
    """Look at all plug-ins, and import those that are not disabled.

    :param built_in: with our own distribution
    :param only: import no other than this one
    """
    every = found(built_in=built_in)
    disabled = config[settings.PLUGIN_DISABLED]
    timeout_s = config[settings.PLUGIN_TIMEOUT]
    enabled = {
        name: _entries(distribution)
        for name, distribution in every.items()
        if name not in disabled
    }
    rivals = _rivals(enabled)
    tried, problems = {}, {}
    for name, entries in enabled.items():
        try:
            extensions.check_api(every[name])
        except PluginError as error:
            problems[name] = error
        else:
            known = [entry for entry in entries if entry.group in KINDS]
            if only in (None, name):
                tried[name] = known
    outcomes = {
        (name, entry.group, entry.name): outcome
        for (name, entries), result in zip(
            tried.items(), trial.run([*tried.values()], timeout_s), strict=True
        )
        for entry, outcome in zip(entries, result, strict=True)
    }
    return [
        _plugin(
            distribution,
            name not in disabled,
            [
                _part(
                    entry,
                    rivals.get((entry.group, entry.name), ()),
                    outcomes.get((name, entry.group, entry.name), Outcome()),
                )
                for entry in _entries(distribution)
            ],
            problems.get(name),
        )
        for name, distribution in every.items()
        if only in (None, name)
    ]


def _entries(distribution: Distribution) -> list[EntryPoint]:
    entries = [
        entry
        for entry in distribution.entry_points
        if entry.group.startswith(_PREFIX) and entry.group != extensions.API
    ]

    def order(entry: EntryPoint) -> tuple[int, str]:
        known = entry.group in _ORDER
        return (_ORDER.index(entry.group) if known else 99, entry.name)

    return sorted(entries, key=order)


def _rivals(
    enabled: Mapping[str, Sequence[EntryPoint]],
) -> dict[tuple[str, str], list[EntryPoint]]:
    """Who has what name, where only one can have it."""
    rivals: dict[tuple[str, str], list[EntryPoint]] = defaultdict(list)
    for entries in enabled.values():
        for entry in entries:
            if entry.group != extensions.HOOKS:
                rivals[entry.group, entry.name].append(entry)
    return rivals


def _plugin(
    distribution: Distribution,
    enabled: bool,
    parts: Iterable[Part],
    problem: PluginError | None,
) -> Plugin:
    try:
        needed = extensions.needed_api(distribution)
    except PluginError:
        needed = None
    return Plugin(
        name=distribution.name,
        version=distribution.version,
        summary=_summary(distribution),
        enabled=enabled,
        api=".".join(map(str, needed)) if needed else None,
        parts=tuple(parts),
        problem=str(problem) if problem else None,
        fix=problem.hint if problem else None,
    )


def _summary(distribution: Distribution) -> str:
    # It may lack one, and not all types of it have get().
    return "".join(distribution.metadata.get_all("Summary") or ())


def _part(
    entry: EntryPoint, rivals: Sequence[EntryPoint], outcome: Outcome
) -> Part:
    kind = KINDS.get(entry.group, entry.group)
    name = entry.name
    if kind == "command":
        name = name.replace("_", " ")
    problem, fix = outcome.error, None
    who = extensions.provider(entry)
    if problem:
        problem = f"the {kind} {name!r}: {problem}"
        fix = f"reinstall or remove {who.split()[0]}"
    if clash := _clash(entry, rivals):
        problem, fix = f"the {kind} {name!r} {clash[0]}", clash[1]
    if entry.group not in KINDS:
        near = did_you_mean(entry.group, KINDS)
        problem = f"there is no entry-point group {entry.group!r}"
        problem += f" ({near})" if near else ""
        fix = f"tell the authors of {who.split()[0]}"
    return Part(
        kind,
        name,
        entry.value,
        problem,
        fix,
        outcome.notes,
        outcome.import_s,
        outcome.hooks,
    )


def _clash(
    entry: EntryPoint, rivals: Sequence[EntryPoint]
) -> tuple[str, str] | None:
    """Who else has the name, and what to do about it."""
    mine = extensions.distribution_of(entry)
    if mine == extensions.DISTRIBUTION:
        return None
    if entry.group != extensions.HOOKS and entry.name in extensions.own(
        entry.group
    ):
        ours = f"{extensions.DISTRIBUTION} has it too, and its own is used"
        return f"is never used: {ours}", f"ask the authors of {mine} to rename"
    others = [
        each for each in rivals if extensions.distribution_of(each) != mine
    ]
    if not others:
        return None
    whos = " and ".join(extensions.provider(each) for each in others)
    return f"can't be used: {whos} has it too", f"qemu plugin disable {mine}"
