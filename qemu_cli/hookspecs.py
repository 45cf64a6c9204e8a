"""The life of a VM as plug-ins see it: all hooks, on one page.

A plug-in is a module with functions of these names, each marked with
:data:`hookimpl`, and an entry point in the group ``qemu_cli.hooks`` that
names the module.  An implementation may take fewer arguments than its
specification, so that specifications can grow.

Hooks get plain data and *return* values.  Plug-ins are called in the
alphabetical order of their entry points' names (``tryfirst`` and
``trylast`` apply).  An error in a hook that is called before something
happens stops it: the command undoes what it did and exits 8.  An error
after the fact is a warning.

There is no daemon.  A guest that powers itself off fires nothing at that
moment: ``after_exit`` is called once for every run, by the first changing
command that sees it gone.
"""

from pluggy import HookimplMarker, HookspecMarker

from qemu_cli.hookfacts import ProcessFacts, VMFacts

__all__ = ("ProcessFacts", "VMFacts", "hookimpl")

PROJECT = "qemu_cli"

hookimpl = HookimplMarker(PROJECT)
_hookspec = HookspecMarker(PROJECT)


@_hookspec
def qemu_cli_check_definition(vm: VMFacts) -> list[str]:  # type: ignore[empty-body]
    """Judge the plug-in's own ``[plugin.NAME]`` table.

    Called whenever the definition is written.

    :return: what is wrong with it, one sentence each; empty when nothing
    """


@_hookspec
def qemu_cli_created(vm: VMFacts) -> None:
    """The instance exists now: its definition and disks are written."""


@_hookspec
def qemu_cli_add_arguments(vm: VMFacts) -> list[str]:  # type: ignore[empty-body]
    """Give QEMU more arguments.

    Called each time that the command line is made, also for a dry run,
    so it must change nothing.

    :return: arguments that follow ours, before the user's own
    """


@_hookspec
def qemu_cli_before_start(vm: VMFacts) -> None:
    """QEMU is about to be started; an error here leaves it stopped."""


@_hookspec
def qemu_cli_after_start(vm: VMFacts) -> None:
    """QEMU runs and its monitor has answered; ``vm.pid`` is set."""


@_hookspec
def qemu_cli_before_shutdown(vm: VMFacts) -> None:
    """The guest is about to be asked to shut down."""


@_hookspec
def qemu_cli_after_shutdown(vm: VMFacts) -> None:
    """QEMU has ended because a command asked for it."""


@_hookspec
def qemu_cli_after_exit(vm: VMFacts, reason: str) -> None:
    """A run has ended, however it did; called once for every run.

    :param reason: ``guest-shutdown``, ``host-qmp-quit`` … (QAPI's
        ShutdownCause), or ``crashed``
    """


@_hookspec
def qemu_cli_cloned(source: VMFacts, vm: VMFacts) -> None:
    """``vm`` is a new instance, made from ``source``."""


@_hookspec
def qemu_cli_deleted(vm: VMFacts) -> None:
    """The instance is gone; its directory no longer exists."""


@_hookspec(firstresult=True)
def qemu_cli_label_process(process: ProcessFacts) -> str | None:
    """Say who a QEMU belongs to that was not started by us.

    The first plug-in that knows it wins.

    :return: a word such as ``libvirt``, or None when it is not known
    """
