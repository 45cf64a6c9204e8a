"""What no real guest does on demand; and what needs none."""

import asyncio
import base64
import contextlib
import os
import re
import shlex
from importlib.metadata import distribution
from pathlib import Path
from types import SimpleNamespace

import pytest
from qemu_cli_guest import copy
from qemu_cli_guest.agent import line as line_module
from qemu_cli_guest.agent import run as run_module
from qemu_cli_guest.agent import tree
from qemu_cli_guest.agent.line import Line
from qemu_cli_guest.agent.run import Program, Run
from qemu_cli_guest.agent.stdio import Memory, Nothing

from qemu_cli.app import QemuApp
from qemu_cli.errors import QemuCliError, UsageError
from qemu_cli.instance.net.addresses import addresses
from qemu_cli.qmp.address import Monitors
from qemu_cli.qmp.agent import Interface
from qemu_cli.qmp.sessions import Sessions

RAN = base64.b64encode(b"ran\n").decode()


class FakeLine(Line):
    """A line to a fake agent."""

    def __init__(self, fake):
        super().__init__(None, None)
        self.fake, self.connections = fake, 0
        self.each_time = lambda number: None

    async def agent(self):
        if self._agent is None:
            self.connections += 1
            self.each_time(self.connections)
            monitors = Monitors(agent=self.fake.path, pid=os.getpid())
            self._agent = await self._stack.enter_async_context(
                Sessions().agent(monitors)
            )
        return self._agent


@pytest.mark.parametrize(
    ("cut", "delay_s"),
    [
        (b'{"return": {"exi', 0),
        (b"", 0),
        (b"\xff\xff{]\n", 0),
        (b"", 2.5),  # an answer may never come: that took its time
    ],
)
def test_a_reply_that_is_cut_is_asked_for_again(
    fake_agent, cut, delay_s, monkeypatch
):
    monkeypatch.setattr(run_module, "_PATIENCE_S", 2.0)
    fake = fake_agent()
    fake.on("guest-exec", {"pid": 5})
    line = FakeLine(fake)

    def each_time(number):
        if number == 1:
            cuts = {"raw": cut, "delay_s": delay_s, "close": True}
            fake.on("guest-exec-status", **cuts)
        else:
            end = {"exited": True, "exitcode": 3, "out-data": RAN}
            fake.on("guest-exec-status", end)

    line.each_time = each_time

    async def main():
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(line.hang_up)
            run = Run(line, Program(["x"]), Nothing(), Memory(), Memory())
            return await run.exit_code()

    assert asyncio.run(main()) == 3
    assert line.connections == 2
    begun = [m for m in fake.received if m["execute"] == "guest-exec"]
    assert len(begun) == 2  # it, once; and what removes its files


def test_its_files_went_while_we_looked(fake_agent):
    """The program ends between our look and our reading of its output."""
    fake, looks = fake_agent(), []

    def status(arguments):
        looks.append(arguments)
        clean = base64.b64encode(b"ran\nclean\n").decode()
        if len(looks) < 14:
            return {"exited": False}
        return {"exited": True, "exitcode": 0, "out-data": clean}

    fake.on("guest-exec", {"pid": 5})
    fake.on("guest-exec-status", status)
    gone = "failed to open file '/tmp/x.out': No such file or directory"
    fake.on("guest-file-open", error=("GenericError", gone))

    async def main():
        line = FakeLine(fake)
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(line.hang_up)
            run = Run(line, Program(["x"]), Nothing(), Memory(), Memory())
            return await run.exit_code()

    assert asyncio.run(main()) == 0
    opened = [m for m in fake.received if m["execute"] == "guest-file-open"]
    assert opened


@pytest.fixture
def copying(fake_agent):
    """A copying with a fake agent, which keeps what is written."""
    fake = fake_agent()
    copying = copy._Copying(None, SimpleNamespace(name="g"))
    copying._line = FakeLine(fake)
    copying.guest = tree.GuestTree(copying._line)
    copying.written = b""

    def write(arguments):
        copying.written += base64.b64decode(arguments["buf-b64"])
        return {"count": len(base64.b64decode(arguments["buf-b64"]))}

    copying.write = write
    fake.on("guest-file-open", 7)
    fake.on("guest-file-write", write)
    fake.on("guest-file-close", {})
    fake.on("guest-exec", {"pid": 5})
    fake.on("guest-exec-status", {"exited": True, "exitcode": 0})
    return copying


def copy_up(copying, source, **options):
    """Copy a file to /x."""
    settings = {"is_device": False, "checksum": False}
    settings |= {"show": lambda done, total: None}

    async def main():
        async with copying:
            await copying.up(source, "/x", 0o644, **settings | options)

    asyncio.run(main())


def test_a_guest_that_is_frozen_in_the_middle_is_waited_for(copying, tmp_path):
    line, frozen = copying._line, "the agent is in frozen state"

    def each_time(number):
        if number == 1:
            error = ("CommandNotFound", frozen)
            line.fake.on("guest-file-write", error=error)
        else:
            line.fake.on("guest-file-write", copying.write)

    line.each_time = each_time
    (tmp_path / "x").write_bytes(data := os.urandom(3 << 20))
    copy_up(copying, tmp_path / "x")
    assert copying.written == data
    assert line.connections == 2


def test_a_checksum_that_is_another(copying, tmp_path):
    (tmp_path / "x").write_bytes(b"data")
    other = base64.b64encode(b"0" * 64 + b"  /x.part\n").decode()
    end = {"exited": True, "exitcode": 0, "out-data": other}
    copying._line.fake.on("guest-exec-status", end)
    with pytest.raises(QemuCliError, match="is not the same"):
        copy_up(copying, tmp_path / "x", checksum=True)
    last = copying._line.fake.received[-2]["arguments"]
    assert "rm -f" in last["arg"][1]


def test_others_get_the_line(fake_agent, monkeypatch):
    fake = fake_agent()
    made = []

    @contextlib.asynccontextmanager
    async def agent(host, vm):
        monitors = Monitors(agent=fake.path, pid=os.getpid())
        async with Sessions().agent(monitors) as talk:
            made.append(talk)
            yield talk

    monkeypatch.setattr(line_module, "agent", agent)

    async def main():
        line = Line(None, None)
        assert await line.agent() is await line.agent()
        monkeypatch.setattr(line_module, "_HOLD_S", -1.0)
        await line.agent()
        await line.hang_up()

    asyncio.run(main())
    assert len(made) == 2


def test_a_list_of_files_is_read():
    text = "\0".join(
        [
            *(".", "./a b", "", "./x\ny", "./z", "", "644 3\n755 10\n"),
            *("./l", "./m", "", "to", "/else", "", ""),
        ]
    )
    read = tree._parsed(text)
    assert read.directories == [".", "./a b"]
    assert read.files == [
        tree.File("./x\ny", 0o644, 3),
        tree.File("./z", 0o755, 10),
    ]
    assert read.links == [tree.Link("./l", "to"), tree.Link("./m", "/else")]
    assert read.size_bytes == 13


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x"])
def test_a_guest_names_no_files_elsewhere(tmp_path, name):
    with pytest.raises(QemuCliError, match="refused"):
        copy.inside(tmp_path, name)


def test_a_guest_puts_nothing_behind_a_link(tmp_path):
    (tmp_path / "out").symlink_to("/tmp")
    with pytest.raises(QemuCliError, match="is a link"):
        copy.inside(tmp_path, "out/x")
    assert copy.inside(tmp_path, "./in/x") == tmp_path / "in/x"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("web:/x", ("web", "/x")),
        ("web:x:y", ("web", "x:y")),
        ("./a:b", (None, "./a:b")),
        ("/x", (None, "/x")),
    ],
)
def test_places(text, place):
    assert copy.place(text) == place


@pytest.mark.parametrize("text", [":x", "web:"])
def test_half_a_place(text):
    with pytest.raises(UsageError, match="not NAME:PATH"):
        copy.place(text)


def test_which_addresses_are_shown():
    found = [
        Interface("lo", None, ("127.0.0.1/8", "::1/128")),
        Interface("eth0", None, ("fe80::1/64", "2001:db8::1/64")),
        Interface("eth1", None, ("10.0.2.15/24",)),
    ]
    assert addresses(found) == ["10.0.2.15", "2001:db8::1"]


def lines():
    """The examples of our commands, and what the page shows."""
    for entry in distribution("qemu-cli-guest").entry_points:
        if entry.value.startswith("qemu_cli_guest.commands."):
            yield from entry.load().examples
    page = Path(__file__).parents[4] / "doc/howto/inside.md"
    for block in re.findall(
        r"^```sh\n(.*?)^```", page.read_text(), re.M | re.S
    ):
        yield from block.splitlines()


def test_examples_are_understood():
    seen = 0
    for line in lines():
        for part in re.split(r" \| (?=qemu|tcpdump)| >>", line):
            words = shlex.split(part)
            if words[:1] != ["qemu"]:
                continue
            seen += 1
            app = QemuApp()
            found = app.command_manager.find_command(words[1:])
            command, name, rest = found
            parser = command(app, None).get_parser(f"qemu {name}")
            parser.parse_args(rest)
    assert seen > 30
