"""Jobs on a real QEMU, with real disks."""

import asyncio
import subprocess

import pytest

from qemu_cli.errors import RefusedError
from qemu_cli.qmp.jobs import JobError, order_job
from qemu_cli.qmp.sessions import Sessions

MIB = 1 << 20
PATIENCE_S = 60.0


def image(path, size=16 * MIB):
    command = ["qemu-img", "create", "-q", "-f", "qcow2", path, str(size)]
    subprocess.run(command, check=True)
    return path


@pytest.fixture
def qemu(real_qemu, tmp_path):
    """A VM with a disk d and an empty target t, and four monitors."""
    args = ["-machine", "pc", "-m", "16", "-S"]
    for node in ("d", "t"):
        file = image(tmp_path / f"{node}.qcow2")
        blockdev = "driver=qcow2,file.driver=file"
        args += [
            "-blockdev",
            f"{blockdev},node-name={node},file.filename={file}",
        ]
    args += ["-device", "virtio-blk-pci,drive=d,id=vd0"]
    return real_qemu(*args, monitors=4)


def run(qemu, work):
    async def main():
        async with Sessions().open(qemu.monitors) as session:
            return await asyncio.wait_for(work(session), PATIENCE_S)

    return asyncio.run(main())


SAVE = {"tag": "s", "vmstate": "d", "devices": ["d"]}


def test_snapshots(qemu):
    async def work(session):
        await session.run_job("snapshot-save", SAVE)
        with pytest.raises(JobError, match="already exists"):
            await session.run_job("snapshot-save", SAVE)
        await session.run_job("snapshot-load", SAVE)
        arguments = {"tag": "s", "devices": ["d"]}
        await session.run_job("snapshot-delete", arguments)
        with pytest.raises(JobError, match="does not exist"):
            await session.run_job("snapshot-load", SAVE)
        with pytest.raises(RefusedError, match="Invalid job ID"):
            await session.run_job("snapshot-save", {**SAVE, "job-id": "a b"})
        assert await session.execute("query-jobs") == []

    run(qemu, work)


def backup(session, **more):
    arguments = {"device": "d", "target": "t", "sync": "full", **more}
    return session.run_job("blockdev-backup", arguments)


def test_a_backup(qemu):
    seen = []

    async def work(session):
        await session.run_job(
            "blockdev-backup",
            {"device": "d", "target": "t", "sync": "full"},
            progress=seen.append,
        )
        assert await session.execute("query-jobs") == []

    run(qemu, work)
    assert seen[-1].current == seen[-1].total == 16 * MIB


def test_cancelling_a_backup(qemu):
    async def work(session):
        # A block of 64 KiB a second: it would take minutes.
        task = asyncio.create_task(backup(session, speed=1 << 16))
        async with session.listen("JOB_STATUS_CHANGE") as events:
            await events.get(PATIENCE_S)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await session.execute("query-jobs") == []

    run(qemu, work)


def test_a_mirror_that_waits_for_its_order(qemu):
    async def work(session):
        job = await session.run_job(
            "blockdev-mirror",
            {
                "device": "d",
                "target": "t",
                "sync": "full",
                "auto-finalize": False,
            },
            until="ready",
        )
        await order_job(session, "job-complete", job, until="pending")
        await order_job(session, "job-finalize", job)
        [block] = [
            one
            for one in await session.execute("query-block")
            if "vd0" in one["qdev"]
        ]
        assert block["inserted"]["node-name"] == "t"
        assert await session.execute("query-jobs") == []

    run(qemu, work)
