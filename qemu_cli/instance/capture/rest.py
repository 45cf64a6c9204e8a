"""Options that are not about a part that a definition has a table for.

Pure.  What is not named here is kept: QEMU has a hundred options, and most
say something about the guest's machine.
"""

import re

from qemu_cli.instance.capture.draft import Draft
from qemu_cli.instance.capture.ground import Ground
from qemu_cli.instance.capture.words import FIRST_KEY, Option, join, with_pairs
from qemu_cli.instance.model import DisplayKind, Kernel

#: What a definition says by being one.
_SAID = frozenset({"nodefaults", "no-user-config", "name", "uuid"})

#: What is not the machine's, and why it is not needed.
_DROPPED = {
    "S": "'qemu start --paused' does it",
    "chroot": "an instance runs where it is started",
    "D": "QEMU's log is the instance's",
    "d": "it is about QEMU's log",
    "daemonize": "an instance runs in the background",
    "gdb": "it is about this run of it",
    "incoming": "its guest came from somewhere else; this one boots",
    "loadvm": "its guest began with a snapshot; this one boots",
    "no-shutdown": "who started it waits for its end by that",
    "pidfile": "an instance has its own",
    "add-fd": "a file that its starter opened can't be carried over",
    "readconfig": "the file can't be read",
    "run-with": "it is about the process, not the machine",
    "runas": "an instance runs as its owner",
    "s": "it is about this run of it",
    "sandbox": "an instance has its own, which is stricter",
    "seamless": "it is about this run of it",
    "trace": "it is about QEMU's log",
    "writeconfig": "it is about this run of it",
    "tpmdev": "a TPM's state is kept by another program (swtpm)",
}

_DISPLAYS: dict[str, DisplayKind] = {
    "none": "none", "vnc": "vnc", "gtk": "gtk", "sdl": "sdl",
    "curses": "curses", "spice-app": "spice-app", "egl-headless": "vnc",
}  # fmt: skip

#: Options whose value is a path.
_PATHS = frozenset({
    "L", "cdrom", "dtb", "fda", "fdb", "hda", "hdb", "hdc", "hdd",
    "mem-path", "mtdblock", "pflash", "sd",
})  # fmt: skip
_SEARCHED = frozenset({"bios", "option-rom"})

#: Keys whose value is a path, by the option.
_PATH_KEYS = {
    "acpitable": ("file", "data"),
    "blockdev": ("filename", "file.filename"),
    "drive": ("file", "file.filename", "backing.file.filename"),
    "fsdev": ("path",),
    "fw_cfg": ("file",),
    "object": ("mem-path", "filename", "dir"),
    "smbios": ("file",),
}

#: What a file name of QEMU's begins with when it is none: nbd://, rbd:
_PROTOCOL = re.compile(r"[a-z][a-z0-9+.-]*:")


def display(draft: Draft) -> DisplayKind:
    """Take what shows the screen; without a word, ``qemu view`` does."""
    found: DisplayKind | None = None
    for option in draft.left("nographic"):
        found = "none"
        draft.typed(option)
    for option in draft.left("curses", "sdl"):
        found = "curses" if option.name == "curses" else "sdl"
        draft.typed(option)
    for option in draft.left("display", "vnc", "spice"):
        kind = option.get("type") if option.name == "display" else "vnc"
        found = _DISPLAYS.get(kind, "vnc")
        if option.value == kind and found == kind:
            draft.typed(option)
        elif option.value == "none":  # -vnc none
            found = "none"
            draft.typed(option)
        else:
            draft.drop(option, f"the key display has only '{found}'")
    if found is None:
        draft.differs(
            "how its screen is shown",
            "nothing was said: QEMU chose. Now 'qemu view' shows it",
            "display = vnc",
        )
    return found or "vnc"


def boot(draft: Draft, ground: Ground) -> Kernel | None:
    """Take the kernel that QEMU itself loads."""
    found: dict[str, str] = {}
    for option in list(draft.left("kernel", "initrd", "append")):
        value = option.value or ""
        is_path = option.name != "append" and "," not in value
        found[option.name] = ground.absolute(value) if is_path else value
        draft.typed(option)
    if "kernel" not in found:
        return None
    return Kernel(
        kernel=found["kernel"],
        initrd=found.get("initrd"),
        append=found.get("append"),
    )


def rest(draft: Draft, ground: Ground) -> None:
    """Decide about all options that are left."""
    tpms = {option.get("id") for option in draft.left("tpmdev")}
    for option in list(draft.left()):
        if option.name in _SAID:
            _said(draft, option)
        elif option.name in _DROPPED:
            draft.drop(option, _DROPPED[option.name])
        elif option.name == "no-reboot":
            draft.keep(option, "QEMU ends when its guest reboots")
        elif option.get("tpmdev") in tpms and option.name == "device":
            draft.drop(option, _DROPPED["tpmdev"])
        elif option.name == "object" and option.get("qom-type") == "secret":
            draft.drop(
                option,
                "passwords are not written into a definition: what needs "
                "it does not work without",
            )
        elif option.name == "action":
            _action(draft, option)
        elif option.name == "device":
            device(draft, ground, option)
        else:
            draft.rewrite(option, absolute(option, ground), _WHERE)


_WHERE = "relative paths are meant from where it was started"


def _said(draft: Draft, option: Option) -> None:
    extra = [key for key, _ in option.pairs if key == "process"]
    if option.name == "name" and extra:
        draft.drop(option, "only the name itself is carried over")
    else:
        draft.typed(option)


def _action(draft: Draft, option: Option) -> None:
    """``-action``: what QEMU does when the guest has shut down …"""
    kept = [pair for pair in option.pairs if pair != ("shutdown", "pause")]
    if not kept:
        draft.drop(option, _DROPPED["no-shutdown"])
    else:
        draft.rewrite(option, join(kept), _DROPPED["no-shutdown"])


def device(draft: Draft, ground: Ground, option: Option) -> None:
    """Keep a device, at its place on the PCI bus."""
    live = ground.device(option.get("id")) or draft.nameless.get(option.number)
    if ground.live and live is None:
        draft.drop(option, "it has been unplugged since")
        return
    value = absolute(option, ground)
    place = live.pci if live else None
    if live and place and not option.get("addr"):
        number, _, function = place.partition(".")
        address = f"0x{number}" + (f".0x{function}" if function else "")
        added = option._replace(value=value)
        value = with_pairs(added, [("bus", live.bus), ("addr", address)])
        draft.rewrite(option, value, "so that it stays at its place")
        return
    draft.rewrite(option, value, _WHERE)


def absolute(option: Option, ground: Ground) -> str:
    """Return the value of an option with all paths absolute."""
    value = option.value or ""
    if option.name in _SEARCHED:
        return ground.searched(value)
    if option.name in _PATHS:
        return _path(value, ground)
    keys = _PATH_KEYS.get(option.name, ())
    found = [(key, text) for key, text in option.pairs if key in keys and text]
    if not found or (value.startswith("{") and len(found) > 1):
        return value
    if value.startswith("{"):
        return value if _absolute_json(found, ground) else _json(value, ground)
    changed = [
        (key, _path(text, ground) if key in keys and text else text)
        for key, text in option.pairs
    ]
    if changed == list(option.pairs):
        return value
    return join(changed, FIRST_KEY.get(option.name, ""))


def _absolute_json(found: list[tuple[str, str]], ground: Ground) -> bool:
    return all(_path(text, ground) == text for _, text in found)


def _json(value: str, ground: Ground) -> str:
    """Make the file names in a JSON value absolute."""
    import json

    def walk(node: object) -> object:
        if not isinstance(node, dict):
            return node
        return {
            key: _path(each, ground)
            if key in ("filename", "mem-path") and isinstance(each, str)
            else walk(each)
            for key, each in node.items()
        }

    return json.dumps(walk(json.loads(value)))


def _path(text: str, ground: Ground) -> str:
    if _PROTOCOL.match(text) and not text.startswith("file:"):
        return text
    return ground.absolute(text.removeprefix("file:"))
