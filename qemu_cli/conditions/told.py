"""``event:NAME`` and ``console:REGEX``: what a VM says."""

import json
import re

from qemu_cli.conditions import Condition
from qemu_cli.errors import StateError, UsageError
from qemu_cli.instance import events, logs, watched
from qemu_cli.instance.host import Host
from qemu_cli.instance.vm import VM

#: A text that is searched for can be so long, at most.
_LOOK_BACK = 65536


class Event(Condition):
    """QEMU sends an event of this name, from now on."""

    takes = "the name of an event, such as event:RESET"
    outlives = True

    async def hold(self, host: Host, vm: VM) -> str:
        name = self.argument.upper()
        async for event in events.follow([vm], names={name}):
            return f"{event.name} {json.dumps(event.data)}"
        raise StateError(f"the instance '{vm.name}' is gone")


class Console(Condition):
    """The guest has written this to its serial port since it was started."""

    takes = "a regular expression, such as console:'login: '"

    def __init__(self, argument: str | None) -> None:
        super().__init__(argument)
        try:
            self._pattern = re.compile(self.argument, re.MULTILINE)
        except re.error as error:
            raise UsageError(
                f"'{argument}' is no regular expression: {error}"
            ) from error

    async def hold(self, host: Host, vm: VM) -> str:
        if vm.foreign:
            raise StateError(
                f"the console of '{vm.name}' is nowhere written down: this "
                "program has not started it"
            )
        now = await watched.alive(host, vm)
        seen = ""
        log = now.paths.serial_log
        async for block in logs.follow(log, logs.boot_offset(now.paths)):
            text = block.decode(errors="replace").replace("\r", "")
            seen = seen[-_LOOK_BACK:] + text
            if found := self._pattern.search(seen):
                begin = seen.rfind("\n", 0, found.start()) + 1
                return seen[begin:].partition("\n")[0].strip()
        raise StateError(f"the instance '{vm.name}' is gone")
