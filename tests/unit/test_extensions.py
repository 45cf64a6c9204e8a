"""Picking one by name, and telling everyone."""

import importlib
import inspect
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import stevedore

from qemu_cli import extensions, hookspecs
from qemu_cli.errors import PluginError, UsageError
from qemu_cli.hooks import Hooks
from qemu_cli.hookspecs import ProcessFacts, VMFacts, hookimpl

PROFILES = "qemu_cli.profiles"

VM = VMFacts("web", Path("/x"), "uuid", "x86_64", "pc-q35-7.2")


@pytest.fixture
def installed(distributions, monkeypatch):
    monkeypatch.syspath_prepend(str(distributions.directory))
    stevedore.ExtensionManager.ENTRY_POINT_CACHE.clear()
    yield distributions
    stevedore.ExtensionManager.ENTRY_POINT_CACHE.clear()
    importlib.invalidate_caches()
    for name in ("one", "two"):
        sys.modules.pop(name, None)


def test_ours_are_picked_first(installed):
    installed.add("one", {PROFILES: {"q35": "one:Profile"}})
    assert extensions.pick(PROFILES, "q35").__module__ == (
        "qemu_cli.profiles.q35"
    )


def test_a_plug_in_is_picked(installed):
    installed.add("one", {PROFILES: {"mine": "one:X"}}, {"one": "X = 1"})
    assert extensions.pick(PROFILES, "mine") == 1
    assert "mine" in extensions.names(PROFILES)


def test_an_unknown_name_lists_the_known_ones(installed):
    with pytest.raises(UsageError, match=r"no profile 'q53'.*microvm") as e:
        extensions.pick(PROFILES, "q53")
    assert e.value.hint == "did you mean q35?"


def test_a_broken_one_names_its_distribution(installed):
    installed.add("one", {PROFILES: {"mine": "one:X"}}, {"one": "1 / 0"})
    with pytest.raises(PluginError, match=r"one 1\.0.*ZeroDivisionError"):
        extensions.pick(PROFILES, "mine")


def test_two_of_one_name_are_both_named(installed):
    for name in ("one", "two"):
        installed.add(name, {PROFILES: {"mine": f"{name}:X"}}, {name: "X=1"})
    with pytest.raises(PluginError, match=r"one 1\.0 and two 1\.0"):
        extensions.pick(PROFILES, "mine")


class Recorder:
    """Implements every hook of the specification; notes each call."""

    def __init__(self, name, calls, answer=None, fail=()):
        self.name, self.calls = name, calls
        self.answer, self.fail = answer or {}, fail
        for hook, spec in vars(hookspecs).items():
            if hook.startswith("qemu_cli_"):
                setattr(self, hook, hookimpl(self._make(hook, spec)))

    def _make(self, hook, spec):
        short = hook.removeprefix("qemu_cli_")

        def implementation(**facts):
            self.calls.append((self.name, short))
            if short in self.fail:
                raise RuntimeError("no luck")
            return self.answer.get(short)

        arguments = ", ".join(inspect.signature(spec).parameters)
        pairs = ", ".join(
            f"{each}={each}" for each in inspect.signature(spec).parameters
        )
        scope = {"implementation": implementation}
        exec(f"def f({arguments}): return implementation({pairs})", scope)
        return scope["f"]


@pytest.fixture
def hooks_of():
    def make(*plugins):
        warnings = []
        modules = {f"plugin_{plugin.name}": plugin for plugin in plugins}

        class Entry(EntryPoint):
            def load(self):
                return modules[self.value]

        entries = [
            Entry(plugin.name, f"plugin_{plugin.name}", extensions.HOOKS)
            for plugin in plugins
        ]
        return Hooks(warnings.append, lambda _: entries), warnings

    return make


def call_all(hooks):
    """Every method of Hooks, with facts that fit."""
    facts = {
        "vm": VM,
        "source": VM,
        "reason": "crashed",
        "process": ProcessFacts(1, ("qemu",)),
    }
    for name, method in inspect.getmembers(hooks, inspect.ismethod):
        if not name.startswith("_"):
            yield (
                name,
                lambda method=method: method(
                    **{
                        p: facts[p]
                        for p in inspect.signature(method).parameters
                    }
                ),
            )


def test_there_is_a_typed_function_for_each_hook(hooks_of):
    hooks, _ = hooks_of()
    specified = {
        name.removeprefix("qemu_cli_")
        for name in vars(hookspecs)
        if name.startswith("qemu_cli_")
    }
    assert {name for name, _ in call_all(hooks)} == specified
    for name in specified:
        spec = getattr(hookspecs, f"qemu_cli_{name}")
        method = getattr(hooks, name)
        assert [*inspect.signature(spec).parameters] == [
            *inspect.signature(method).parameters
        ]


def test_plug_ins_are_called_in_the_order_of_their_names(hooks_of):
    calls = []
    hooks, _ = hooks_of(*(Recorder(name, calls) for name in "abc"))
    for name, call in call_all(hooks):
        calls.clear()
        if name in ("check_definition", "add_arguments"):
            continue
        call()
        assert calls == [(each, name) for each in "abc"]


def test_answers_are_joined_in_order(hooks_of):
    one = Recorder("a", [], {"add_arguments": ["-x"]})
    none = Recorder("b", [])
    two = Recorder("c", [], {"add_arguments": ["-y", "1"]})
    hooks, _ = hooks_of(one, none, two)
    assert hooks.add_arguments(VM) == ["-x", "-y", "1"]
    assert hooks.check_definition(VM) == []


def test_the_first_label_wins(hooks_of):
    calls = []
    hooks, _ = hooks_of(
        Recorder("a", calls),
        Recorder("b", calls, {"label_process": "libvirt"}),
        Recorder("c", calls, {"label_process": "incus"}),
    )
    assert hooks.label_process(ProcessFacts(1, ())) == "libvirt"
    assert [name for name, _ in calls] == ["a", "b"]


BEFORE = {
    "check_definition",
    "add_arguments",
    "before_start",
    "before_shutdown",
}


def test_a_plug_in_that_raises_in_each_hook(hooks_of):
    calls = []
    every = {
        name.removeprefix("qemu_cli_")
        for name in vars(hookspecs)
        if name.startswith("qemu_cli_")
    }
    hooks, warnings = hooks_of(
        Recorder("bad", calls, fail=every), Recorder("good", calls)
    )
    for name, call in call_all(hooks):
        calls.clear()
        warnings.clear()
        if name in BEFORE:
            with pytest.raises(PluginError, match=f"{name}.*no luck"):
                call()
            assert calls == [("bad", name)]
            assert warnings == []
        else:
            call()
            assert calls == [("bad", name), ("good", name)]
            assert "no luck" in warnings[0]


def test_an_implementation_may_take_fewer_arguments(hooks_of):
    seen = []

    class Plugin:
        name = "a"

        @hookimpl
        def qemu_cli_after_exit(self, reason):
            seen.append(reason)

    hooks, _ = hooks_of(Plugin())
    hooks.after_exit(VM, "crashed")
    assert seen == ["crashed"]


def test_plug_ins_that_can_not_be_used_are_skipped(hooks_of):
    class Wrong:
        name = "wrong"

        @hookimpl
        def qemu_cli_created(self, vm, nonsense):
            raise AssertionError

    calls = []
    hooks, warnings = hooks_of(Wrong(), Recorder("good", calls))
    hooks.created(VM)
    assert calls == [("good", "created")]
    assert "nonsense" in warnings[0]


def test_a_hook_module_that_does_not_import(installed):
    installed.add(
        "one", {"qemu_cli.hooks": {"one": "one"}}, {"one": "import nix"}
    )
    warnings = []
    Hooks(warnings.append).created(VM)
    assert "one 1.0" in warnings[0]
    assert "nix" in warnings[0]


def test_other_distributions_are_parsed_only_if_they_have_the_group(
    tmp_path, monkeypatch
):
    def never(**_):
        raise AssertionError("no distribution has it")

    monkeypatch.setattr("sys.path", [str(tmp_path), str(tmp_path / "none")])
    monkeypatch.setattr("importlib.metadata.entry_points", never)
    info = tmp_path / "other-1.0.dist-info"
    info.mkdir()
    assert extensions.foreign("qemu_cli.commands") == []
    points = info / "entry_points.txt"
    points.write_text("[console_scripts]\nother = other:main\n")
    assert extensions.foreign("qemu_cli.commands") == []
    points.write_text("[qemu_cli.commands]\nother = other:Main\n")
    with pytest.raises(AssertionError, match="no distribution"):
        extensions.foreign("qemu_cli.commands")


def test_an_archive_on_the_path_is_left_to_importlib(tmp_path, monkeypatch):
    archive = tmp_path / "many.zip"
    archive.touch()
    monkeypatch.setattr("sys.path", [str(archive)])
    asked = []
    monkeypatch.setattr(
        "importlib.metadata.entry_points",
        lambda **what: asked.append(what) or [],
    )
    assert extensions.foreign("qemu_cli.commands") == []
    assert asked == [{"group": "qemu_cli.commands"}]
