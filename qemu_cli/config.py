"""Settings and where they come from, in git's scopes.

A later scope wins: system (``/etc``), user, instance, environment
(``QEMU_CLI_CONFIG_LOCK_TIMEOUT``), command (``-c lock.timeout=5s``).
Files are TOML; a dotted key and a table mean the same.  A file that
somebody else could have written is refused, as git's ``safe.directory``
does it: an alias in it would be a program run in the user's name.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from qemu_cli import settings
from qemu_cli.errors import QemuCliError, UsageError
from qemu_cli.settings import Setting
from qemu_cli.suggest import did_you_mean

_T = TypeVar("_T")

ENVIRONMENT_PREFIX = "QEMU_CLI_CONFIG_"

#: The ``-c`` of a ``qemu`` that called a program that called us: JSON.
OVERRIDES = "QEMU_CLI_OVERRIDES"


class Value:
    """A setting's text, and who said so.

    :param scope: default, system, user, instance, environment or command
    :param origin: a file, a variable's name, or ``""``
    """

    def __init__(self, text: str, scope: str, origin: str) -> None:
        self.text = text
        self.scope = scope
        self.origin = origin


class MoreKeys(Protocol):
    """Keys beside the table of settings: defaults for options."""

    def find(self, key: str) -> Setting[str] | None:
        """The setting of a key, or None if it is none."""

    def of_variable(self, word: str) -> str | None:
        """The key that ``CREATE_MEMORY`` spells, or None."""

    def like(self, key: str) -> Iterable[str]:
        """Those that may have been meant by one that there is not."""


class Config:
    """All scopes of one run, each read when first needed.

    A key that is unknown is an error where somebody has just typed it, and
    a warning in a file or a variable: these may be of a newer program, or
    of a plug-in that is not there any more.

    :param user: the user's file, which need not exist
    :param system: the host's file, which need not exist
    :param environ: the environment
    :param overrides: ``KEY=VALUE`` of each ``-c``
    :param more: makes what knows the keys beside the settings
    :param warn: told of each key that is unknown
    :raise UsageError: an override is unknown, or a value has the wrong form
    """

    def __init__(
        self,
        *,
        user: Path,
        system: Path,
        environ: Mapping[str, str],
        overrides: Sequence[str] = (),
        more: Callable[[], MoreKeys] | None = None,
        warn: Callable[[str], object] = lambda text: None,
    ) -> None:
        self._more = more
        self._warn = warn
        self._user = user
        self._system = system
        self._instance: dict[str, Value] = {}
        #: ``KEY=VALUE`` of each ``-c``, those of who called us first.
        self.overrides = [*_inherited(environ), *overrides]
        self._command = dict(self._override(e) for e in self.overrides)
        self._environment = dict(self._from_environment(environ))
        self._files: dict[str, Value] | None = None

    def for_instance(
        self, table: Mapping[str, object], origin: str
    ) -> "Config":
        """The same, as the instance with this ``[config]`` table sees it.

        :raise QemuCliError: an unknown key, a bad value, or a setting that
            an instance may not have
        """
        config = object.__new__(type(self))
        config.__dict__.update(self.__dict__)
        config._instance = {}
        for key, text in flatten(table):
            if not self.check(key, text, f"{origin}: ").instance:
                raise UsageError(
                    f"{origin}: {key} can't be set by an instance"
                )
            config._instance[key] = Value(text, "instance", origin)
        return config

    def __getitem__(self, setting: Setting[_T]) -> _T:
        """The value that counts.

        :raise QemuCliError: the file it is in can't be used
        """
        return setting.parse(self.lookup(setting.name).text)

    def lookup(self, key: str) -> Value:
        """The text that counts, its scope and its origin.

        :raise UsageError: there is no such setting
        """
        setting = self.find(key)
        if setting is None:
            raise self.unknown(key)
        for scope in self._scopes():
            if key in scope:
                return scope[key]
        return Value(setting.default, "default", "")

    def find(self, key: str) -> Setting[object] | None:
        """The setting that a key belongs to, or None."""
        if setting := settings.find(key):
            return setting
        return self._more().find(key) if self._more else None  # type: ignore[return-value]

    def check(self, key: str, text: str, where: str = "") -> Setting[object]:
        """Find the setting of a key, and try whether it takes the text.

        :raise UsageError: unknown key, or a value of the wrong form
        """
        setting = self.find(key)
        if setting is None:
            raise self.unknown(key, where)
        try:
            setting.parse(text)
        except UsageError as error:
            raise UsageError(
                f"{where}{key}: {error}", hint=error.hint
            ) from None
        return setting

    def items(self) -> Iterator[tuple[str, Value]]:
        """All settings and the members of families that are set."""
        keys = {n: None for n, s in settings.SETTINGS.items() if not s.family}
        for scope in self._scopes():
            keys.update(dict.fromkeys(scope))
        for key in sorted(keys):
            yield key, self.lookup(key)

    def members(self, family: Setting[str]) -> dict[str, str]:
        """What is set of a family, such as all aliases."""
        found = self.below(family.name[:-1])
        return {key: found[key].text for key in sorted(found)}

    def below(self, prefix: str) -> dict[str, Value]:
        """What is set of the keys that begin so, without that beginning."""
        found: dict[str, Value] = {}
        for scope in self._scopes():
            for key, value in scope.items():
                if key.startswith(prefix):
                    found.setdefault(key.removeprefix(prefix), value)
        return found

    def _scopes(self) -> Iterator[Mapping[str, Value]]:
        """The strongest first."""
        yield self._command
        yield self._environment
        yield self._instance
        if self._files is None:
            self._files = {
                **self._read(self._system, "system"),
                **self._read(self._user, "user"),
            }
        yield self._files

    def _read(self, path: Path, scope: str) -> dict[str, Value]:
        return {
            key: Value(text, scope, str(path))
            for key, text in load(path).items()
            if self._is_known(key, text, f"{path}: ")
        }

    def _override(self, text: str) -> tuple[str, Value]:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"-c {text}: expected KEY=VALUE")
        self.check(key, value, "-c: ")
        return key, Value(value, "command", "-c")

    def _from_environment(
        self, environ: Mapping[str, str]
    ) -> Iterator[tuple[str, Value]]:
        for variable, text in environ.items():
            if variable.startswith(ENVIRONMENT_PREFIX):
                key = self._key_of(variable)
                if self._is_known(key, text, f"{variable}: "):
                    yield key, Value(text, "environment", variable)

    def _is_known(self, key: str, text: str, where: str) -> bool:
        """Check a key that was not typed just now.

        :raise UsageError: a value of the wrong form
        """
        if self.find(key) is None:
            problem = self.unknown(key, where)
            self._warn(f"{problem}; {problem.hint}")
            return False
        self.check(key, text, where)
        return True

    def _key_of(self, variable: str) -> str:
        word = variable.removeprefix(ENVIRONMENT_PREFIX)
        for name, setting in settings.SETTINGS.items():
            spelled = name.replace(".", "_").replace("-", "_").upper()
            if setting.family:
                start = spelled.removesuffix("*")
                if word.startswith(start) and word != start:
                    return setting.family + word.removeprefix(start).lower()
            elif word == spelled:
                return name
        more = self._more and self._more().of_variable(word)
        return more or word.lower()

    def unknown(self, key: str, where: str = "") -> UsageError:
        """The error for a key that is no setting, with the nearest one."""
        more = self._more().like(key) if self._more else ()
        return UsageError(
            f"{where}there is no setting {key!r}",
            hint=did_you_mean(key, [*settings.SETTINGS, *more])
            or "'qemu config list' names all settings",
        )


def _inherited(environ: Mapping[str, str]) -> list[str]:
    text = environ.get(OVERRIDES)
    if text is None:
        return []
    import json

    try:
        return [str(each) for each in json.loads(text)]
    except (ValueError, TypeError):
        raise UsageError(f"{OVERRIDES}: not a JSON list: {text}") from None


def refuse_foreign(path: Path, status: os.stat_result) -> None:
    """Refuse a file that another user owns, or that anyone may write.

    :raise QemuCliError: always with what to do about it
    """
    if status.st_uid not in (0, os.geteuid()):
        raise QemuCliError(
            f"{path}: belongs to another user (uid {status.st_uid})",
            hint="settings can run programs, so only your own and root's "
            "files are read",
        )
    if status.st_mode & stat.S_IWOTH:
        raise QemuCliError(
            f"{path}: everybody may write it", hint=f"chmod o-w {path}"
        )


def load(path: Path) -> dict[str, str]:
    """The keys and values of a file; none when there is no file.

    :raise QemuCliError: it can't be read, is no TOML, or somebody else's
    """
    try:
        with path.open("rb") as file:
            refuse_foreign(path, os.fstat(file.fileno()))
            import tomllib  # only whoever has a file pays for it

            try:
                return dict(flatten(tomllib.load(file)))
            except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
                raise QemuCliError(f"{path}: {error}") from None
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise QemuCliError(f"{path}: {error.strerror}") from None


def flatten(
    table: Mapping[str, object], prefix: str = ""
) -> Iterator[tuple[str, str]]:
    """The dotted keys of a table and the text of each value."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        elif isinstance(value, bool):
            yield prefix + key, "yes" if value else "no"
        elif isinstance(value, list):  # for options that can be repeated
            import shlex  # hardly anybody has one

            yield prefix + key, shlex.join(map(str, value))
        else:
            yield prefix + key, str(value)
