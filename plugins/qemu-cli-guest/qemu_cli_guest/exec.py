"""Run a program in the guest."""

from collections.abc import Sequence

from qemu_cli.errors import UsageError
from qemu_cli.instance.host import Host
from qemu_cli.instance.inside import agent
from qemu_cli.instance.vm import VM
from qemu_cli_guest.agent import scripts
from qemu_cli_guest.agent.line import Line
from qemu_cli_guest.agent.run import Program, Run
from qemu_cli_guest.agent.stdio import Sink, Source


def check_environment(words: Sequence[str]) -> None:
    """Check what is to be put into a program's environment.

    :raise UsageError: a shell can't
    """
    for word in words:
        name, equals, _ = word.partition("=")
        if not (equals and name.isascii() and name.isidentifier()):
            raise UsageError(f"--env {word}: not NAME=VALUE")


async def run(
    host: Host,
    vm: VM,
    program: Program,
    source: Source,
    out: Sink,
    err: Sink,
    *,
    timeout_s: float | None = None,
) -> int:
    """Run a program and pass on all that goes in and out.

    :return: its exit code; 128 and more: the signal that ended it
    :raise NoAgentError: there is no guest agent
    :raise TimedOutError: its time was over, or the agent is silent
    """
    line = Line(host, vm)
    try:
        run = Run(line, program, source, out, err)
        return await run.exit_code(timeout_s)
    finally:
        await line.hang_up()


async def detach(host: Host, vm: VM, program: Program) -> int:
    """Start a program that goes on without us; its output is lost.

    :return: its pid in the guest
    """
    words = [*program.environment, "--", *program.argv]
    async with agent(host, vm) as talk:
        return await talk.begin(
            scripts.argv(scripts.DETACH, *words), capture=False
        )
