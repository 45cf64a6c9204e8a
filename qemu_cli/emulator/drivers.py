"""The devices that a QEMU binary has, and their properties.

A throw-away QEMU is asked, never one that has a guest: listing all types
loads every module of QEMU's, and making a device to look at it has ended
more than one QEMU.  (``-device help``; QMP ``device-list-properties``)
"""

import asyncio
import re
from pathlib import Path
from typing import NamedTuple

from qemu_cli.emulator.bare_qemu import bare_qemu
from qemu_cli.errors import RefusedError, ToolError, UsageError
from qemu_cli.suggest import did_you_mean

_LINE = re.compile(
    r'name "(?P<name>[^"]+)"(?:, bus (?P<bus>[^,]+))?'
    r'(?:, alias "(?P<alias>[^"]+)")?(?:, desc "(?P<desc>.*?)")?'
    r"(?P<rest>, no-user)?\s*"
)

#: What a property can be turned to by ``key=value``.
_TRUTH = {
    **dict.fromkeys(("on", "yes", "true", "y"), True),
    **dict.fromkeys(("off", "no", "false", "n"), False),
}
_NUMBER = r"-?(0x[0-9a-fA-F]+|\d+)"
_SIZE = r"(\d+)([kKmMgGtT]?)"
_UNITS = " kmgt"

#: Properties of a device, by name.
Options = dict[str, bool | int | str]
_ANSWER_S = 20.0


class Driver(NamedTuple):
    """One kind of device.

    :param bus: the type of the bus that it goes on, as in ``PCI``; may be ""
    :param category: QEMU's own, as in ``Storage``
    :param description: may be ""
    """

    name: str
    bus: str
    category: str
    description: str = ""


class Property(NamedTuple):
    """What a device can be told; ``type`` is QEMU's word for it."""

    name: str
    type: str


class Drivers(NamedTuple):
    """All kinds of devices of a binary, by name and by alias."""

    arch: str
    known: dict[str, Driver]

    def find(self, name: str) -> Driver:
        """Look one up.

        :raise UsageError: there is none; the nearest is named
        """
        try:
            return self.known[name]
        except KeyError:
            raise UsageError(
                f"QEMU for {self.arch} has no device '{name}'",
                hint=did_you_mean(name, self.known)
                or f"the list: qemu-system-{self.arch} -device help",
            ) from None


def parse(text: str, arch: str) -> Drivers:
    """Read what ``-device help`` prints."""
    category = ""
    known: dict[str, Driver] = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            if line.endswith(" devices:"):
                category = line.removesuffix(" devices:")
            continue
        if match["rest"]:
            continue
        driver = Driver(
            match["name"], match["bus"] or "", category, match["desc"] or ""
        )
        # One that is of two kinds is listed under both.
        known.setdefault(driver.name, driver)
        if match["alias"]:
            known.setdefault(match["alias"], driver)
    return Drivers(arch, known)


async def load(binary: Path) -> Drivers:
    """Ask a binary for its devices (0.05 s).

    :raise ToolError: it does not run, or lists none
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *(str(binary), "-device", "help"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        raise ToolError(f"{binary} can't be run: {error.strerror}") from error
    try:
        async with asyncio.timeout(_ANSWER_S):
            out, err = await process.communicate()
    except TimeoutError as error:
        raise ToolError(f"{binary} does not list its devices") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    found = parse(out.decode(errors="replace"), arch_of(binary))
    if not found.known:
        words = err.decode(errors="replace").strip().partition("\n")[0]
        raise ToolError(f"{binary.name} does not list its devices: {words}")
    return found


def arch_of(binary: Path) -> str:
    """The guest's architecture, from the name of the program."""
    return binary.name.rpartition("qemu-system-")[2] or binary.name


async def properties(binary: Path, driver: str) -> dict[str, Property]:
    """Ask a binary what a device can be told (0.05 s).

    :raise UsageError: it has no such device
    """
    async with bare_qemu(binary) as qemu:
        try:
            found = await qemu.execute(
                "device-list-properties", typename=driver
            )
        except RefusedError as error:
            raise UsageError(f"{driver}: {error}") from error
    return {
        each["name"]: Property(each["name"], each["type"])
        for each in found
        if not each["type"].startswith("child<")
    }


def check(
    driver: str, options: dict[str, str], known: dict[str, Property]
) -> Options:
    """Refuse what QEMU would refuse, and name what was meant.

    :return: the same, with the types that QEMU's own have
    :raise UsageError: there is no such property, or it can't be this
    """
    found: Options = {}
    for key, value in options.items():
        if key not in known:
            usual = [each for each in known if not each.startswith("x-")]
            raise UsageError(
                f"{driver} has no property '{key}'",
                hint=did_you_mean(key, usual)
                or f"it has {', '.join(sorted(usual))}",
            )
        kind = known[key].type
        found[key] = value
        if kind == "bool":
            if value not in _TRUTH:
                raise UsageError(
                    f"{driver}: {key} is on or off, not '{value}'"
                )
            found[key] = _TRUTH[value]
        elif re.fullmatch(r"u?int\d+", kind):
            if not re.fullmatch(_NUMBER, value):
                raise UsageError(f"{driver}: {key} is a number, not '{value}'")
            found[key] = _number(value)
        elif kind == "size":
            if size := re.fullmatch(_SIZE, value):
                unit = _UNITS.index(size[2].lower() or " ")
                found[key] = _number(size[1]) << 10 * unit
        elif kind == "OnOffAuto" and value not in ("on", "off", "auto"):
            raise UsageError(
                f"{driver}: {key} is on, off or auto, not '{value}'"
            )
    return found


def _number(text: str) -> int:
    """Read it as QEMU does, and C: what begins with 0 is octal."""
    octal = re.fullmatch(r"-?0[0-7]+", text)
    return int(text, 8 if octal else 16 if "x" in text else 10)
