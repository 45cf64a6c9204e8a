"""One command on many VMs."""

import argparse
import asyncio
import contextlib
import io
import json
from types import SimpleNamespace

import pytest

from qemu_cli.app import QemuApp
from qemu_cli.command import Result, VMCommand
from qemu_cli.config import Config
from qemu_cli.errors import BusyError, StateError, UsageError


def fake_vm(name, *, process=object(), origin="ours", state="running"):  # noqa: B008
    return SimpleNamespace(
        name=name,
        state=state,
        reason="",
        process=process,
        alive=process is not None,
        origin=origin,
        reference="pid:1",
        foreign=None if origin == "ours" else SimpleNamespace(origin=origin),
        monitors=f"monitors of {name}",
    )


class Sessions:
    """Hands out the monitors as the session."""

    def __init__(self):
        self.open_now = 0

    @contextlib.asynccontextmanager
    async def open(self, monitors):
        self.open_now += 1
        yield monitors
        self.open_now -= 1


@pytest.fixture
def run(tmp_path):
    """Run a command on fake VMs: its exit code, stdout and stderr."""

    def run(command, vms, *words, settings=()):
        stdout, stderr = io.StringIO(), io.StringIO()
        app = QemuApp()
        app.stdout = stdout
        app.ui._stderr = stderr
        nowhere = tmp_path / "none"
        app.config = Config(
            user=nowhere, system=nowhere, environ={}, overrides=settings
        )
        app.qmp = Sessions()
        app.host_of = lambda vm: SimpleNamespace(sessions=app.qmp)
        instance = command(app, argparse.Namespace(), cmd_name="poke")
        instance.select = lambda args: vms
        args = instance.get_parser("qemu poke").parse_args(words)
        code = instance.run(args)
        assert app.qmp.open_now == 0
        return code, stdout.getvalue(), stderr.getvalue()

    return run


class Poke(VMCommand):
    """Poke VMs."""

    examples = ("qemu poke web",)
    errors: dict[str, Exception] = {}  # noqa: RUF012

    async def act(self, vm, session, args):
        await asyncio.sleep(0)
        if vm.name in self.errors:
            raise self.errors[vm.name]
        return Result("poked", {"pokes": 1})


def poke(**errors):
    return type("Poke", (Poke,), {"errors": errors, "__doc__": "Poke."})


def test_success_of_one_is_a_line_on_stderr(run):
    assert run(Poke, [fake_vm("web")], "web") == (0, "", "web: poked\n")


def test_failure_of_one_is_its_own_error(run):
    with pytest.raises(StateError, match="asleep"):
        run(poke(web=StateError("asleep")), [fake_vm("web")], "web")


def test_rows_for_programs_even_of_one(run):
    code, out, _ = run(Poke, [fake_vm("web")], "web", "-f", "json")
    assert code == 0
    assert json.loads(out) == [
        {"name": "web", "result": {"pokes": 1}, "code": 0, "error": None}
    ]


def test_one_failure_stops_no_other(run):
    vms = [fake_vm(name) for name in "abc"]
    command = poke(b=BusyError("held", hint="wait"))
    code, out, err = run(command, vms, *"abc", "-f", "json")
    rows = json.loads(out)
    assert [row["code"] for row in rows] == [0, 6, 0]
    assert rows[1]["error"] == "held"
    assert err == "hint: wait\n"
    assert code == 6


def test_several_without_a_format_are_a_table(run):
    code, out, _ = run(Poke, [fake_vm("a"), fake_vm("b")], "a", "b")
    assert code == 0
    assert out.splitlines()[0].split() == ["NAME", "RESULT", "CODE", "ERROR"]
    assert out.splitlines()[1].split() == ["a", "poked", "0"]


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        ({"a": BusyError(""), "b": BusyError("")}, 6),
        ({"a": BusyError(""), "b": StateError("")}, 1),
    ],
)
def test_the_code_that_all_failures_share(run, errors, code):
    vms = [fake_vm(name) for name in "abc"]
    assert run(poke(**errors), vms, *"abc")[0] == code


def test_what_nobody_expected_is_one_row_too(run):
    vms = [fake_vm(name) for name in "ab"]
    code, out, _ = run(poke(a=ZeroDivisionError()), vms, *"ab", "-f", "json")
    assert code == 1
    assert "ZeroDivisionError" in json.loads(out)[0]["error"]
    assert json.loads(out)[1]["code"] == 0


class Count(Poke):
    """Count how many are poked at the same time."""

    now = most = 0

    async def act(self, vm, session, args):
        cls = type(self)
        cls.now += 1
        cls.most = max(cls.most, cls.now)
        await asyncio.sleep(0.01)
        cls.now -= 1
        return Result("")


@pytest.mark.parametrize("limit", [1, 3])
def test_no_more_at_a_time_than_the_setting_says(run, limit):
    command = type("Count", (Count,), {"__doc__": "Count."})
    vms = [fake_vm(str(number)) for number in range(9)]
    run(command, vms, "--all", settings=[f"jobs.parallel={limit}"])
    assert command.most == limit


class Ask(Poke):
    """Show the session."""

    needs = frozenset({"qmp"})

    async def act(self, vm, session, args):
        return Result(session)


def test_a_command_that_needs_qmp_gets_a_session(run):
    assert run(Ask, [fake_vm("web")], "web")[2] == "web: monitors of web\n"
    with pytest.raises(StateError, match="'web' does not run: it is stopped"):
        run(Ask, [fake_vm("web", process=None, state="stopped")], "web")


def test_a_command_that_needs_a_definition(run):
    command = type(
        "P", (Poke,), {"needs": frozenset({"definition"}), "__doc__": ""}
    )
    with pytest.raises(StateError, match="no instance of yours"):
        run(command, [fake_vm("web", origin="lima")], "web")


def test_a_misspelt_format_is_found_before_the_deed(run):
    command = poke(web=AssertionError("too late"))
    with pytest.raises(UsageError, match="no formatter 'jsno'"):
        run(command, [fake_vm("web")], "web", "-f", "jsno")


def test_some_vm_must_be_named(qemu_home):
    result = qemu_home("start")
    assert result.rc == 2
    assert "no VM named" in result.err
    result = qemu_home("start", "web", "--all")
    assert result.rc == 2
    assert qemu_home("start", "nobody").rc == 3
