"""qemu events."""

import argparse
import json
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from qemu_cli.command import Follower
from qemu_cli.command.times import local
from qemu_cli.errors import UsageError

if TYPE_CHECKING:
    from qemu_cli.instance.events import Event
    from qemu_cli.instance.vm import VM


class Events(Follower):
    """Show what VMs tell as it happens, until Ctrl-C.

    That is when they stop and go on, reset, shut down and why, when a
    disk is full, when jobs end …: the events of QMP.  Any number of
    commands can follow the same VM, and hold up nobody.  Without a name,
    all your instances are followed, those that start later too.
    """

    examples = (
        "qemu events",
        "qemu events web --event SHUTDOWN --event RESET",
        "qemu events web --since 1h -f ndjson",
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "names",
            metavar="NAME",
            nargs="*",
            help="a VM; * and ? match names of your instances",
        )
        parser.add_argument(
            "--event",
            action="append",
            default=[],
            metavar="EVENT",
            help="only these, such as SHUTDOWN (repeatable)",
        )
        parser.add_argument(
            "--since",
            metavar="DURATION",
            help="also those of the last run since then, such as 10m",
        )
        return parser

    async def follow(
        self, args: argparse.Namespace
    ) -> AsyncIterator[Mapping[str, Any]]:
        from qemu_cli.instance import events
        from qemu_cli.units import parse_duration

        since_s = None
        if args.since:
            since_s = events.since(parse_duration(args.since))
        wanted = {name.upper() for name in args.event}
        vms = self._select(args)
        async for event in events.follow(vms, names=wanted, since_s=since_s):
            yield _item(event)

    def line(self, item: Mapping[str, Any]) -> str:
        data = json.dumps(item["data"], ensure_ascii=False)
        return f"{local(item['time'])}  {item['vm']}  {item['event']}  {data}"

    def _select(self, args: argparse.Namespace) -> "list[VM]":
        from qemu_cli.instance import resolve

        host = self.app.host
        vms = resolve.select(
            host.paths,
            args.names,
            probe=host.probe,
            every=not args.names,
            strangers=host.strangers if args.names else None,
        )
        if not vms:
            raise UsageError(
                "there is no VM to follow", hint="'qemu create' makes one"
            )
        return vms


def _item(event: "Event") -> Mapping[str, Any]:
    return {
        "time": event.time_s,
        "vm": event.vm,
        "event": event.name,
        "data": event.data,
    }
