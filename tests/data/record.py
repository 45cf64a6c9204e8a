#!/usr/bin/env python3
"""Record what a real QEMU says, for the fake QMP server.

    record.py NAME COMMAND[=JSON ARGUMENTS]… [-- QEMU ARGUMENT…]

writes qmp/NAME.jsonl beside this file: the greeting, then one exchange a
line with the events that came before the reply.  QEMU_CLI_TEST_QEMU names
the QEMU.  Ours were made with:

    record.py none query-status query-version query-name query-commands \\
        query-chardev query-block query-jobs stop cont -- -machine none

and stats-tcg, stats-kvm with the questions of instance/stats/counters.py,
to two CPUs, 64 MiB and a virtio-blk-pci vd0; the latter has a balloon.
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path


def main(name, *words):
    split = words.index("--") if "--" in words else len(words)
    commands, arguments = words[:split], words[split + 1 :]
    ours, theirs = socket.socketpair()
    qemu = subprocess.Popen(
        [
            os.environ.get("QEMU_CLI_TEST_QEMU", "qemu-system-x86_64"),
            *("-display", "none", "-nodefaults", *arguments),
            *("-chardev", f"socket,id=qmp,fd={theirs.fileno()}"),
            *("-mon", "chardev=qmp,mode=control"),
        ],
        pass_fds=[theirs.fileno()],
    )
    theirs.close()
    try:
        lines = ours.makefile("rb")
        record = [json.loads(lines.readline())]
        exchange(ours, lines, {"execute": "qmp_capabilities"})
        for word in commands:
            command, _, given = word.partition("=")
            sent = {"execute": command}
            if given:
                sent["arguments"] = json.loads(given)
            record.append(exchange(ours, lines, sent))
    finally:
        qemu.kill()
        qemu.wait()
    target = Path(__file__).parent / "qmp" / f"{name}.jsonl"
    target.write_text("".join(json.dumps(line) + "\n" for line in record))


def exchange(sock, lines, sent):
    sock.sendall(json.dumps(sent).encode() + b"\n")
    events = []
    while True:
        message = json.loads(lines.readline())
        if "event" not in message:
            return {"sent": sent, "events": events, "reply": message}
        events.append(message)


if __name__ == "__main__":
    main(*sys.argv[1:])
