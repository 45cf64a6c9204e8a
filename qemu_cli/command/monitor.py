"""The prompt of ``qemu monitor``.  The only importer of prompt_toolkit."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory
from prompt_toolkit.patch_stdout import patch_stdout

from qemu_cli.command import loop
from qemu_cli.command.times import local
from qemu_cli.errors import ConnectionLostError, QemuCliError
from qemu_cli.instance import console, monitor
from qemu_cli.qmp import completion, manual
from qemu_cli.qmp.schema import Schema
from qemu_cli.ui import printable

if TYPE_CHECKING:
    from qemu_cli.app import QemuApp
    from qemu_cli.instance.monitor import Conversation
    from qemu_cli.instance.vm import VM

#: What the prompt itself understands, and what it is.
OWN = {
    "help": "explains a command, or this prompt",
    "hmp": "a command of the human monitor",
    "exit": "leaves, and QEMU runs on; so does Ctrl-D",
}

_HELP = """\
COMMAND key=value …     a QMP command; key.inner=value goes one level down
{"execute": …}          the same, as QMP itself has it
hmp LINE                a command of the human monitor
?COMMAND                what a command takes; 'help COMMAND' too
Tab, Up, Ctrl-R         complete; what was typed before; search in it
Ctrl-C, Ctrl-D          clear the line; leave"""


def attend(app: "QemuApp", vm: "VM") -> None:
    """Show the prompt until the person leaves or QEMU ends.

    :raise StateError: the VM does not run, or can't be talked to
    :raise BusyError: its one monitor is held by another client
    :raise QemuCliError: QEMU died
    """
    prompt = Prompt(app, vm)
    loop.run(prompt.run(), prompt.interrupt)


class Prompt:
    """One prompt, for one VM."""

    def __init__(self, app: "QemuApp", vm: "VM") -> None:
        self._app = app
        self._vm = vm
        self._reply: asyncio.Task[Any] | None = None
        self._ended_by_us = False
        self._shut_down = False

    def interrupt(self) -> bool:
        """Ctrl-C while a reply is waited for: wait no longer."""
        return self._reply is not None and self._reply.cancel()

    async def run(self) -> None:
        host = self._app.host_of(self._vm)
        async with monitor.conversation(host, self._vm) as talk:
            say = self._app.ui.say
            say(f"{self._vm.name}: Tab completes, ? helps, Ctrl-D leaves")
            if talk.held:
                say(f"{self._vm.name}: {talk.held}")
            with patch_stdout():
                has_ended = await self._until_end(talk)
        if has_ended:
            await self._explain()

    async def _until_end(self, talk: "Conversation") -> bool:
        """Let the person type; true: QEMU has ended."""
        typing = asyncio.create_task(self._type(talk))
        ending = asyncio.create_task(talk.ended())
        telling = asyncio.create_task(self._tell(talk))
        tasks = (typing, ending, telling)
        try:
            waits_for = set(tasks)
            while not (typing.done() or ending.done()):
                done, waits_for = await asyncio.wait(
                    waits_for, return_when=asyncio.FIRST_COMPLETED
                )
                if telling in done:
                    with contextlib.suppress(ConnectionLostError):
                        telling.result()
                        continue
                    return True  # QEMU has closed the monitor
            if not ending.done() and not typing.result():
                return False
            # What it told last comes in this moment.
            await asyncio.wait([telling], timeout=0.2)
            return True
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _type(self, talk: "Conversation") -> bool:
        """Take lines; false: the person leaves; true: QEMU was ended."""
        session: PromptSession[str] = PromptSession(
            f"{printable(self._vm.name)}> ",
            history=_History(_private(self._app.host.paths.monitor_history)),
            completer=_Completer(talk.schema),
            complete_while_typing=False,
        )
        while True:
            try:
                line = await session.prompt_async(handle_sigint=False)
            except KeyboardInterrupt:
                continue
            except EOFError:
                return False
            line = line.strip()
            if line == "exit":
                return False
            try:
                if not line:
                    continue
                if _asks_for_help(line):
                    _explain_command(talk.schema, line)
                    continue
                if monitor.ends_qemu(line) and not await self._is_sure():
                    continue
                await self._say(talk, line)
            except ConnectionLostError as error:
                _error(error)
                return True
            except QemuCliError as error:
                _error(error)
            if self._ended_by_us:
                return True

    async def _say(self, talk: "Conversation", line: str) -> None:
        self._reply = asyncio.create_task(talk.say(line))
        try:
            reply = await self._reply
        except asyncio.CancelledError:
            if not self._reply.cancelled() or _is_cancelled():
                raise
            _show("not waited for; QEMU may do it all the same")
            return
        finally:
            self._reply = None
        self._ended_by_us = monitor.ends_qemu(line)
        if isinstance(reply, str) and monitor.human(line) is not None:
            _show(reply.rstrip("\n"))
        elif reply is not None:
            _show(json.dumps(reply, indent=2, ensure_ascii=False))

    async def _is_sure(self) -> bool:
        _show(
            f"this ends QEMU of '{self._vm.name}', and its guest is not "
            "asked; 'exit' only leaves"
        )
        asking: PromptSession[str] = PromptSession("End it? [y/N] ")
        try:
            answer = await asking.prompt_async(handle_sigint=False)
        except (EOFError, KeyboardInterrupt):
            return False
        return answer.strip().lower() in ("y", "yes")

    async def _tell(self, talk: "Conversation") -> None:
        async for event in talk.events():
            data = json.dumps(event.data, ensure_ascii=False)
            _show(f"{local(event.time_s)}  {event.name}  {data}")
            self._shut_down |= event.name == "SHUTDOWN"

    async def _explain(self) -> None:
        """Say how QEMU has ended.

        :raise QemuCliError: it died
        """
        name = self._vm.name
        if self._ended_by_us:
            self._app.ui.say(f"{name}: it has ended")
            return
        if self._vm.foreign:
            if self._shut_down:
                self._app.ui.say(f"{name}: it has ended")
                return
            raise QemuCliError(f"QEMU of '{name}' has ended or was killed")
        now = await console.how_it_ended(self._app.host, self._vm)
        reason = f" ({now.reason})" if now.reason else ""
        if now.state == "crashed":
            raise QemuCliError(
                f"'{name}' has crashed{reason}",
                hint=f"'qemu log {name} --qemu' may say why",
            )
        self._app.ui.say(f"{name}: it has ended{reason}")


class _Completer(Completer):
    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        text = document.text_before_cursor.lstrip()
        is_first = " " not in text
        if is_first and text.startswith("?"):
            text = text[1:]
        elif is_first:
            for word, note in OWN.items():
                if text and word.startswith(text):
                    yield Completion(word, -len(text), display_meta=note)
        elif text.startswith("help "):
            text = text[5:]
            if " " in text:
                return
        for each in completion.candidates(self._schema, text):
            yield Completion(each.text, -each.size, display_meta=each.note)


class _History(FileHistory):
    """Keeps what was typed, but for what has a password in it."""

    def store_string(self, string: str) -> None:
        if not monitor.is_secret(string):
            # A full disk or a read-only home stops nobody.
            with contextlib.suppress(OSError):
                super().store_string(string)


def _private(path: Any) -> str:
    """Make a file that only its owner reads; returns its name."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_CLOEXEC, 0o600))
    return str(path)


def _asks_for_help(line: str) -> bool:
    return line.startswith("?") or line.split()[0] == "help"


def _explain_command(schema: Schema, line: str) -> None:
    command = line.removeprefix("?").removeprefix("help").strip()
    if not command:
        _show(_HELP)
        return
    if command in OWN:
        _show(f"{command}: {OWN[command]}")
        return
    described = manual.of_command(schema, command)
    rows = [
        (each.name, each.kind, *filter(None, (_extra(each),)))
        for each in described.arguments
    ]
    width = max((len(row[0]) for row in rows), default=0)
    for name, *rest in rows:
        _show(f"  {name:{width}}  {'  '.join(rest)}")
    features = " and ".join(described.features)
    _show(
        f"{command}{f' is {features}, and' if features else ''} "
        f"returns {described.returns}"
    )


def _extra(argument: manual.Argument) -> str:
    words = [
        *(["needed"] if argument.needed else []),
        *([f"when {argument.when}"] if argument.when else []),
        *argument.features,
    ]
    return f"({', '.join(words)})" if words else ""


def _error(error: QemuCliError) -> None:
    _show(f"error: {error}")
    if error.hint:
        _show(f"hint: {error.hint}")


def _show(text: str) -> None:
    """Write above the prompt; nothing that is said steers the terminal."""
    for line in text.splitlines() or [""]:
        sys.stdout.write(printable(line) + "\n")


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return bool(task and task.cancelling())
