"""column_values: what a plug-in's column shows."""

from types import SimpleNamespace
from typing import Any

from qemu_cli import settings
from qemu_cli.command.asked import column_values
from qemu_cli.errors import StateError


def app(details: list[str]) -> Any:
    return SimpleNamespace(
        config={settings.JOBS_PARALLEL: 2},
        host_of=lambda vm: f"host of {vm.name}",
        ui=SimpleNamespace(detail=details.append),
    )


VMS: Any = [SimpleNamespace(name=name) for name in ("a", "b", "c")]


def test_a_function_of_the_vm() -> None:
    values = column_values(app([]), lambda vm: vm.name * 2, VMS)
    assert values == ["aa", "bb", "cc"]


def test_one_that_has_to_wait_gets_the_host_and_may_fail() -> None:
    async def column(host: str, vm: Any) -> str:
        if vm.name == "b":
            raise StateError("it does not run")
        return f"{host}: {vm.name}"

    details: list[str] = []
    values = column_values(app(details), column, VMS)
    assert values == ["host of a: a", None, "host of c: c"]
    assert details == ["b: it does not run"]
