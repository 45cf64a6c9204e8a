"""A small world that plans change."""

import asyncio
from pathlib import Path
from typing import Any

from qemu_cli.errors import QemuCliError, StateError
from qemu_cli.steps import (
    Plan,
    Spawn,
)
from qemu_cli.steps.job import Job, OrderJob
from qemu_cli.steps.runner import Journal, Runner


class World:
    """A tree, a QEMU, and what is to go wrong.

    :param root: where the steps do their deeds
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.qemu: str | None = None
        self.job: str | None = None
        self.fails = False
        self.undo_fails = False
        root.mkdir()
        (root / "kept").write_text("before")
        (root / "old").mkdir()
        (root / "old" / "disk").write_text("data")
        self.journal = Journal(root.parent / ".pending" / "web.jsonl")
        self.runner = Runner(self.journal, self)  # type: ignore[arg-type]

    async def runs(self) -> bool:
        return self.qemu is not None

    async def execute(self, command: str, arguments: dict[str, Any]) -> None:
        raise StateError("QEMU refuses")

    async def start_job(self, step: Job) -> None:
        self.job = "running"

    async def job_goes_on(self, step: Job) -> bool:
        return self.job == "running"

    async def run_job(self, step: Job) -> None:
        if self.job != "pending":
            raise StateError("the disk is full")

    async def order_job(self, step: OrderJob) -> None:
        assert self.job == "pending"
        self.job = None

    async def cancel_job(self, job_id: str) -> None:
        self.job = None

    async def spawn(self, step: Spawn) -> None:
        if self.fails:
            raise QemuCliError("it did not start")
        self.qemu = step.argv[0]

    async def unspawn(self, step: Spawn) -> None:
        if self.undo_fails:
            raise QemuCliError("it does not end")
        self.qemu = None

    async def came_up(self, step: Spawn) -> bool:
        return self.qemu is not None

    @property
    def tree(self) -> dict[str, str | None]:
        found: dict[str, str | None] = {"QEMU": self.qemu}
        for path in self.root.rglob("*"):
            name = str(path.relative_to(self.root))
            found[name] = None if path.is_dir() else path.read_text()
        return found

    def run(self, plan: Plan) -> None:
        asyncio.run(self.runner.run(plan))

    def recover(self) -> str | None:
        return asyncio.run(self.runner.recover())
