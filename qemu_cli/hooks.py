"""Telling all plug-ins what happens to VMs: the only user of pluggy."""

import functools
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any

from qemu_cli.errors import PluginError
from qemu_cli.extensions import HOOKS, foreign, load, provider

if TYPE_CHECKING:
    import pluggy

    from qemu_cli.hookfacts import ProcessFacts, VMFacts

#: A hook that takes longer to import than this is named (seconds): every
#: command that changes something waits for it.
SLOW_S = 1.0


class Hooks:
    """One typed function for each hook in :mod:`qemu_cli.hookspecs`.

    Nothing is imported before the first call.

    :param warn: told of plug-ins that fail, where that stops nothing
    :param entries: finds the plug-ins
    """

    def __init__(
        self,
        warn: Callable[[str], None],
        entries: Callable[[str], Iterable[EntryPoint]] = foreign,
    ) -> None:
        self._warn = warn
        self._entries = entries
        self._providers: dict[str, str] = {}

    @functools.cached_property
    def _plug_ins(self) -> list[EntryPoint]:
        return list(self._entries(HOOKS))

    @functools.cached_property
    def _manager(self) -> "pluggy.PluginManager":
        import pluggy

        from qemu_cli import hookspecs

        manager = pluggy.PluginManager(hookspecs.PROJECT)
        manager.add_hookspecs(hookspecs)
        # pluggy calls the last registered first.
        for entry in reversed(self._plug_ins):
            name = f"{entry.name} of {provider(entry)}"
            begin = time.monotonic()
            try:
                manager.register(load(entry), name)
            except PluginError as error:
                self._warn(str(error))
            except Exception as error:  # noqa: BLE001  pluggy's own checks
                self._warn(f"plug-in {provider(entry)} is skipped: {error}")
            self._providers[name] = provider(entry)
            self._name_slow(entry, time.monotonic() - begin)
        return manager

    def _name_slow(self, entry: EntryPoint, taken_s: float) -> None:
        if taken_s > SLOW_S:
            who = provider(entry)
            self._warn(
                f"the plug-in {who} took {taken_s:.1f} s to import; "
                f"'qemu plugin disable {who.split()[0]}' does without it"
            )

    def _answers(
        self,
        hook: str,
        facts: dict[str, object],
        failed: Callable[[PluginError], None],
    ) -> Iterator[Any]:
        """Call a hook plug-in by plug-in, so that an error has a name."""
        if not self._plug_ins:
            return  # pluggy is not even imported
        manager = self._manager
        everyone = manager.get_plugins()
        caller = getattr(manager.hook, f"qemu_cli_{hook}")
        for implementation in reversed(caller.get_hookimpls()):
            alone = manager.subset_hook_caller(
                caller.name, everyone - {implementation.plugin}
            )
            try:
                answer = alone(**facts)
            except (Exception, SystemExit) as error:  # noqa: BLE001
                who = self._providers[implementation.plugin_name]
                problem = PluginError(
                    f"the hook {hook} of the plug-in {who} failed: "
                    f"{type(error).__name__}: {error}"
                )
                problem.__cause__ = error
                failed(problem)
                continue
            # A list of no or one answer, or with firstresult the answer.
            yield from answer if isinstance(answer, list) else [answer]

    def _stop(self, problem: PluginError) -> None:
        raise problem

    def _go_on(self, problem: PluginError) -> None:
        self._warn(str(problem))

    def _before(self, hook: str, **facts: object) -> list[Any]:
        return list(self._answers(hook, facts, self._stop))

    def _after(self, hook: str, **facts: object) -> None:
        list(self._answers(hook, facts, self._go_on))

    def _joined(self, hook: str, vm: "VMFacts") -> list[str]:
        return [each for few in self._before(hook, vm=vm) for each in few]

    def check_definition(self, vm: "VMFacts") -> list[str]:
        """All that plug-ins find wrong with their tables.

        :raise PluginError: a plug-in raised
        """
        return self._joined("check_definition", vm)

    def created(self, vm: "VMFacts") -> None:
        """Tell that an instance exists now."""
        self._after("created", vm=vm)

    def add_arguments(self, vm: "VMFacts") -> list[str]:
        """All arguments that plug-ins add.

        :raise PluginError: a plug-in raised
        """
        return self._joined("add_arguments", vm)

    def before_start(self, vm: "VMFacts") -> None:
        """Tell that QEMU is about to be started.

        :raise PluginError: a plug-in raised, so don't start it
        """
        self._before("before_start", vm=vm)

    def after_start(self, vm: "VMFacts") -> None:
        """Tell that QEMU runs."""
        self._after("after_start", vm=vm)

    def before_shutdown(self, vm: "VMFacts") -> None:
        """Tell that the guest is about to be asked to shut down.

        :raise PluginError: a plug-in raised, so don't ask it
        """
        self._before("before_shutdown", vm=vm)

    def after_shutdown(self, vm: "VMFacts") -> None:
        """Tell that QEMU has ended because a command asked for it."""
        self._after("after_shutdown", vm=vm)

    def after_exit(self, vm: "VMFacts", reason: str) -> None:
        """Tell that a run has ended."""
        self._after("after_exit", vm=vm, reason=reason)

    def cloned(self, source: "VMFacts", vm: "VMFacts") -> None:
        """Tell that an instance was made from another."""
        self._after("cloned", source=source, vm=vm)

    def deleted(self, vm: "VMFacts") -> None:
        """Tell that an instance is gone."""
        self._after("deleted", vm=vm)

    def label_process(self, process: "ProcessFacts") -> str | None:
        """Whose QEMU this is, if a plug-in knows it."""
        answers = self._answers(
            "label_process", {"process": process}, self._go_on
        )
        return next((each for each in answers if each is not None), None)
