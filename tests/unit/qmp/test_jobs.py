"""jobs: what does not need a real QEMU; see also the functional test."""

import asyncio

import pytest

from qemu_cli.errors import RefusedError
from qemu_cli.qmp.address import Monitors
from qemu_cli.qmp.jobs import JobError, Progress, order_job
from qemu_cli.qmp.sessions import Sessions

PATIENCE_S = 30.0


def changed(status, job_id="j"):
    return {
        "event": "JOB_STATUS_CHANGE",
        "data": {"id": job_id, "status": status},
        "timestamp": {"seconds": 1, "microseconds": 0},
    }


def job(status, **more):
    return {
        "id": "j",
        "type": "backup",
        "status": status,
        "current-progress": 5,
        "total-progress": 9,
        **more,
    }


@pytest.fixture
def fake(fake_qmp):
    fake = fake_qmp()
    fake.on("job-dismiss", {})
    return fake


def drive(fake, work):
    async def main():
        async with Sessions().open(Monitors(control=fake.path)) as session:
            return await asyncio.wait_for(work(session), PATIENCE_S)

    return asyncio.run(main())


def backup(**options):
    return lambda session: session.run_job(
        "blockdev-backup", {"device": "d", "job-id": "j"}, **options
    )


def test_a_job_that_ends_well_is_dismissed(fake):
    bounces = ["created", "running", "paused", "running", "waiting"]
    fake.on("blockdev-backup", {}, events=[changed(one) for one in bounces])
    fake.on("query-jobs", [job("running")])
    seen = []

    async def work(session):
        end = asyncio.create_task(backup(progress=seen.append)(session))
        while not seen:  # noqa: ASYNC110 - a thread brings it
            await asyncio.sleep(0.01)
        fake.on("query-jobs", [job("concluded")])
        fake.send(changed("concluded", "another"))
        fake.send(changed("concluded"))
        return await end

    assert drive(fake, work) == "j"
    assert seen[0] == Progress("j", 5, 9)
    names = [message["execute"] for message in fake.received]
    assert names[-1] == "job-dismiss"
    sent = next(m for m in fake.received if "backup" in m["execute"])
    assert sent["arguments"]["auto-dismiss"] is False


def test_an_error_is_raised_and_the_job_dismissed(fake):
    fake.on("blockdev-backup", {})
    fake.on("query-jobs", [job("concluded", error="No space left")])
    with pytest.raises(JobError, match="blockdev-backup: No space left"):
        drive(fake, backup())
    assert fake.received[-1]["execute"] == "job-dismiss"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("Input/output error", "disk full?"),
        # QEMU 10 with a virtiofsd of QEMU 7.2
        ("Error while writing VM state: Operation not supported", "--qemu"),
    ],
)
def test_what_to_do_about_an_error(fake, words, hint):
    fake.on("blockdev-backup", {})
    fake.on("query-jobs", [job("concluded", error=words)])
    with pytest.raises(JobError) as caught:
        drive(fake, backup())
    assert caught.value.hint is not None
    assert hint in caught.value.hint


def test_a_job_that_does_not_start(fake):
    fake.on("blockdev-backup", error=("GenericError", "no such node"))
    with pytest.raises(RefusedError, match="no such node") as caught:
        drive(fake, backup())
    assert not isinstance(caught.value, JobError)


def test_a_job_that_somebody_else_dismissed(fake):
    fake.on("blockdev-backup", {})
    fake.on("query-jobs", [])
    with pytest.raises(JobError, match="vanished"):
        drive(fake, backup())


@pytest.mark.parametrize("until", ["ready", "pending"])
def test_a_job_is_left_for_its_next_order(fake, until):
    fake.on("blockdev-backup", {})
    fake.on("query-jobs", [job(until)])
    assert drive(fake, backup(until=until)) == "j"
    assert fake.received[-1]["execute"] == "query-jobs"
    fake.on("job-complete", {})
    fake.on("query-jobs", [job("concluded")])
    drive(fake, lambda session: order_job(session, "job-complete", "j"))
    assert fake.received[-1]["execute"] == "job-dismiss"


def test_an_id_is_picked(fake):
    fake.on("snapshot-save", error=("GenericError", "no"))
    for _ in range(2):
        with pytest.raises(RefusedError):
            drive(fake, lambda s: s.run_job("snapshot-save", {"tag": "t"}))
    sent = [m["arguments"] for m in fake.received if "arguments" in m]
    ids = {one["job-id"] for one in sent if "job-id" in one}
    assert len(ids) == 2
    assert "auto-dismiss" not in str(sent)


def test_cancelling_cancels_the_job(fake):
    fake.on("blockdev-backup", {})
    fake.on("query-jobs", [job("running")])
    ended = job("concluded", error="Operation canceled")
    fake.on("job-cancel", {}, events=[changed("concluded")])

    async def main(session):
        task = asyncio.create_task(backup()(session))
        while "query-jobs" not in str(fake.received):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        fake.on("query-jobs", [ended])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    drive(fake, main)
    names = [message["execute"] for message in fake.received]
    assert "job-cancel" in names
    assert names[-1] == "job-dismiss"


def test_what_cannot_be_cancelled_is_waited_for(fake, caplog):
    fake.on("snapshot-save", {}, delay_s=0.3)
    fake.on("query-jobs", [job("concluded")])

    async def main(session):
        arguments = {"job-id": "j", "tag": "t"}
        task = asyncio.create_task(session.run_job("snapshot-save", arguments))
        while "snapshot-save" not in str(fake.received):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    drive(fake, main)
    assert fake.received[-1]["execute"] == "job-dismiss"
    assert "can't be cancelled" in caplog.text
