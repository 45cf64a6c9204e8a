"""agent: files, programs and the system of a guest, of a fake agent."""

import asyncio
import base64
import io
import os

import pytest

from qemu_cli.errors import ConnectionLostError, QemuCliError, RefusedError
from qemu_cli.qmp.address import Monitors
from qemu_cli.qmp.agent import FileSystem, Finished, System, User
from qemu_cli.qmp.agent.files import READ_BYTES, WRITE_BYTES
from qemu_cli.qmp.sessions import Sessions
from qemu_cli.qmp.trace import Trace

HANDLE = 7


def talk(fake, work, *, trace=None):
    """Do some work with an agent of our own."""

    async def main():
        monitors = Monitors(agent=fake.path, pid=os.getpid())
        async with Sessions(trace=trace).agent(monitors) as agent:
            return await work(agent)

    return asyncio.run(main())


@pytest.fixture
def fake(fake_agent):
    return fake_agent()


@pytest.fixture
def file(fake):
    """A file in the guest, which the fake agent reads and writes."""
    content = io.BytesIO()

    def read(arguments):
        data = content.read(arguments["count"])
        return {
            "count": len(data),
            "buf-b64": base64.b64encode(data).decode(),
            "eof": len(data) < arguments["count"],
        }

    def write(arguments):
        data = base64.b64decode(arguments["buf-b64"])
        return {"count": content.write(data), "eof": False}

    def seek(arguments):
        whence = ("set", "cur", "end").index(arguments["whence"])
        place = content.seek(arguments["offset"], whence)
        return {"position": place, "eof": False}

    fake.on("guest-file-open", HANDLE)
    fake.on("guest-file-read", read)
    fake.on("guest-file-write", write)
    fake.on("guest-file-seek", seek)
    fake.on("guest-file-flush", {})
    fake.on("guest-file-close", {})
    return content


def test_a_file_is_written_in_pieces(fake, file):
    data = os.urandom(WRITE_BYTES + 1)

    async def work(agent):
        handle = await agent.open_file("/tmp/x", "w")
        await agent.write_file(handle, data)
        await agent.flush_file(handle)
        await agent.close_file(handle)

    talk(fake, work)
    assert file.getvalue() == data
    opened = fake.received[1]["arguments"]
    assert opened == {"path": "/tmp/x", "mode": "w"}
    assert fake.received[-1]["arguments"] == {"handle": HANDLE}


def test_what_a_write_leaves_over_is_written_again(fake, file):
    def write(arguments):
        data = base64.b64decode(arguments["buf-b64"])[:3]
        return {"count": file.write(data), "eof": False}

    fake.on("guest-file-write", write)
    talk(fake, lambda agent: agent.write_file(HANDLE, b"\xffseven!"))
    assert file.getvalue() == b"\xffseven!"


@pytest.mark.parametrize("size", [0, 1, READ_BYTES, 5 * READ_BYTES + 1])
def test_a_file_is_read_to_its_end(fake, file, size):
    file.write(data := os.urandom(size))

    async def work(agent):
        assert await agent.seek_file(HANDLE, 0, "end") == size
        await agent.seek_file(HANDLE, 0)
        blocks = [block async for block in agent.read_blocks(HANDLE)]
        assert await agent.read_file(HANDLE) == b""
        return blocks

    assert b"".join(talk(fake, work)) == data


def test_some_blocks_are_enough(fake, file):
    file.write(data := os.urandom(4 * READ_BYTES))
    file.seek(0)

    async def work(agent):
        reading = agent.read_blocks(HANDLE, most=3)
        blocks = [block async for block in reading]
        return blocks, await agent.read_file(HANDLE)

    blocks, rest = talk(fake, work)
    assert b"".join(blocks) == data[: 3 * READ_BYTES]
    assert rest == data[3 * READ_BYTES :]


def test_a_reader_who_leaves_early_spoils_nothing(fake, file):
    file.write(os.urandom(4 * READ_BYTES))
    file.seek(0)

    async def work(agent):
        async for block in agent.read_blocks(HANDLE):
            assert len(block) == READ_BYTES
            break
        return await agent.seek_file(HANDLE, 0)

    assert talk(fake, work) == 0


@pytest.mark.parametrize(
    "reply",
    [
        {"count": 4, "buf-b64": "AAA="},
        {"count": 4, "buf-b64": "AA*"},
        {"count": 4, "buf-b64": "AAAAA"},
    ],
)
def test_data_that_is_cut_is_an_error(fake, reply):
    fake.on("guest-file-read", reply)
    with pytest.raises(QemuCliError, match="is cut"):
        talk(fake, lambda agent: agent.read_file(HANDLE))


def test_an_agent_that_dies_in_the_middle_of_a_reply(fake):
    fake.on("guest-file-read", raw=b'{"return": {"cou', close=True)
    with pytest.raises(ConnectionLostError):
        talk(fake, lambda agent: agent.read_file(HANDLE))


def test_a_full_disk(fake):
    text = "failed to write to file: No space left on device"
    fake.on("guest-file-write", error=("GenericError", text))
    with pytest.raises(RefusedError, match="No space left"):
        talk(fake, lambda agent: agent.write_file(HANDLE, b"x"))


def test_a_program_begins_and_ends(fake):
    fake.on("guest-exec", {"pid": 5})
    ends = iter([{"exited": False}, {"exited": True, "signal": 9}])
    fake.on("guest-exec-status", lambda arguments: next(ends))

    async def work(agent):
        pid = await agent.begin(["/x"], environment=["A=b"], capture=False)
        return [await agent.finished(pid) for _ in range(2)]

    assert talk(fake, work) == [None, Finished(None, 9, b"", b"", False)]
    assert fake.received[1]["arguments"] == {
        "path": "/x",
        "arg": [],
        "capture-output": False,
        "env": ["A=b"],
    }


def test_the_system(fake):
    fake.on(
        "guest-get-osinfo",
        {
            "id": "debian",
            "pretty-name": "Debian 12",
            "version-id": "12",
            "kernel-release": "6.1",
            "machine": "x86_64",
        },
    )
    fake.on("guest-get-host-name", {"host-name": "web"})
    fake.on("guest-get-timezone", {"zone": "CET", "offset": 3600})

    async def work(agent):
        return (
            await agent.system(),
            await agent.host_name(),
            await agent.time_zone(),
        )

    system = System("debian", "Debian 12", "12", "6.1", "x86_64")
    assert talk(fake, work) == (system, "web", ("CET", 3600))


def test_users_and_file_systems(fake):
    user = {"user": "root", "login-time": 1.5}
    fake.on("guest-get-users", [user])
    disk = {"mountpoint": "/", "name": "vda1", "type": "ext4", "disk": []}
    sizes = {"used-bytes": 1, "total-bytes": 2}
    fake.on("guest-get-fsinfo", [disk | sizes, disk])

    async def work(agent):
        return await agent.users(), await agent.file_systems()

    assert talk(fake, work) == (
        [User("root", None, 1.5)],
        [
            FileSystem("/", "vda1", "ext4", 1, 2),
            FileSystem("/", "vda1", "ext4", None, None),
        ],
    )


def test_trim_says_why_not(fake):
    paths = [
        {"path": "/", "trimmed": 4096, "minimum": 0},
        {"path": "/boot", "error": "not supported"},
    ]
    fake.on("guest-fstrim", {"paths": paths})
    trimmed = talk(fake, lambda agent: agent.trim())
    assert trimmed == {"/": 4096, "/boot": "not supported"}


def test_the_clock(fake):
    fake.on("guest-get-time", 17)
    fake.on("guest-set-time", {})

    async def work(agent):
        await agent.set_time(18)
        await agent.set_time()
        return await agent.time_ns()

    assert talk(fake, work) == 17
    _, given, from_hardware, _ = fake.received
    assert given["arguments"] == {"time": 18}
    assert "arguments" not in from_hardware


def test_a_password_is_in_no_trace(fake):
    lines = []
    fake.on("guest-set-user-password", {})
    talk(
        fake,
        lambda agent: agent.set_password("root", b"s3cret"),
        trace=Trace(lines.append),
    )
    sent = fake.received[1]["arguments"]
    assert base64.b64decode(sent["password"]) == b"s3cret"
    assert sent["password"] not in "".join(lines)
