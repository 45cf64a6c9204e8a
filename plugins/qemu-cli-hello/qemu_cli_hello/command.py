"""``qemu hello``: a command on VMs."""

import argparse
from typing import TYPE_CHECKING

from qemu_cli.command import Result, VMCommand

if TYPE_CHECKING:
    from qemu_cli.instance.vm import VM
    from qemu_cli.qmp.session import Session


class Hello(VMCommand):
    """Greet VMs."""

    examples = ("qemu hello web", "qemu hello --all -f json")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("--word", default="hello", help="what to say")
        return parser

    async def act(
        self, vm: "VM", session: "Session", args: argparse.Namespace
    ) -> Result:
        text = f"{args.word}, {vm.state} VM"
        return Result(text, {"greeting": text})
