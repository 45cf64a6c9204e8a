"""What can go wrong, one class and one exit code each.

::

    QemuCliError                1  failed
     ├── UsageError             2  the words typed make no sense
     ├── NotFoundError          3  no such VM, snapshot, file …
     ├── StateError             4  it exists, but is in the wrong state
     ├── RefusedError           5  QEMU itself said no
     ├── BusyError              6  somebody else holds it
     ├── TimedOutError          7  it did not happen in time
     ├── PluginError            8  a plug-in is broken
     ├── DefinitionError        1  instance.toml can't be understood
     ├── ToolError              1  qemu-img or another program failed
     └── ConnectionLostError    1  a monitor went away mid-sentence

An error says what, which and why; ``hint`` says what to do next.  130
(interrupted) and 141 (nobody reads our output) have no class: they are
what the shell reports for SIGINT and SIGPIPE.
"""

__all__ = (
    "BusyError",
    "ConnectionLostError",
    "DefinitionError",
    "NotFoundError",
    "PluginError",
    "QemuCliError",
    "RefusedError",
    "StateError",
    "TimedOutError",
    "ToolError",
    "UsageError",
)


class QemuCliError(Exception):
    """The root of all errors that this program raises on purpose.

    :param message: what went wrong, with which thing, and why
    :param hint: what the user can do next, or None
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(QemuCliError):
    """The command line can't be understood."""

    exit_code = 2


class NotFoundError(QemuCliError):
    """The thing named does not exist."""

    exit_code = 3


class StateError(QemuCliError):
    """The thing exists, but its state does not allow this."""

    exit_code = 4


class RefusedError(QemuCliError):
    """QEMU answered a QMP command with an error.

    :param command: the QMP command that was refused
    :param error_class: QMP's error class, such as ``GenericError``
    """

    exit_code = 5

    def __init__(
        self,
        message: str,
        *,
        command: str = "",
        error_class: str = "GenericError",
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.command = command
        self.error_class = error_class


class BusyError(QemuCliError):
    """Another process holds the lock or the monitor that is needed."""

    exit_code = 6


class TimedOutError(QemuCliError):
    """It did not happen before its time was over."""

    exit_code = 7


class PluginError(QemuCliError):
    """A plug-in failed to load, or raised."""

    exit_code = 8


class DefinitionError(QemuCliError):
    """An ``instance.toml`` that can't be read, parsed or understood."""


class ToolError(QemuCliError):
    """A helper program, such as qemu-img, failed.

    The message ends with the program's own words.
    """


class ConnectionLostError(QemuCliError):
    """A monitor or an agent closed its end before it answered."""
