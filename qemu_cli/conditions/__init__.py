"""What ``qemu wait`` can wait for.

A condition is picked by its name (group ``qemu_cli.conditions``); plug-ins
add theirs.  ``--for port:22`` is the condition ``port`` with the argument
``22``.
"""

from abc import ABC, abstractmethod

from qemu_cli.errors import UsageError
from qemu_cli.instance.host import Host
from qemu_cli.instance.vm import VM


class Condition(ABC):
    """One thing that can be waited for.

    :param argument: what stands behind the colon; None: there is none
    :raise UsageError: it can't be understood
    """

    #: What the argument is, for people; empty: it takes none.
    takes = ""

    #: Whether it can come true of a VM that has ended meanwhile; if not,
    #: nobody waits for it then.
    outlives = False

    def __init__(self, argument: str | None) -> None:
        if self.takes and not argument:
            raise UsageError(f"it needs an argument: {self.takes}")
        if argument and not self.takes:
            raise UsageError(f"it takes no argument: {argument}")
        self.argument = argument or ""

    @abstractmethod
    async def hold(self, host: Host, vm: VM) -> str:
        """Return as soon as it holds, however long that takes.

        :param vm: as it was at the beginning; it may not run yet
        :return: what was seen, in a few words
        :raise QemuCliError: it never will
        """
