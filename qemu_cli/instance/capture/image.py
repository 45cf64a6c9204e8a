"""The image behind a disk, as a definition has it.  Pure."""

from collections.abc import Mapping
from typing import NamedTuple, get_args

from qemu_cli.instance import model
from qemu_cli.instance.capture.ground import Ground
from qemu_cli.instance.capture.live import Block
from qemu_cli.instance.model import Cache, Throttle

#: Keys of a drive or of its nodes that a definition says, or has no need of.
_KNOWN = frozenset({
    "aio", "auto-read-only", "backing", "boot", "bus", "cache",
    "cache.direct", "cache.no-flush", "cache.writeback", "detect-zeroes",
    "discard", "driver", "file", "file.aio", "file.auto-read-only",
    "file.cache.direct", "file.cache.no-flush", "file.discard",
    "file.driver", "file.filename", "file.node-name", "file.read-only",
    "format", "id", "if", "index", "media", "node-name", "read-only",
    "readonly", "rerror", "unit", "werror",
})  # fmt: skip

#: What limits a drive, as ``-drive`` calls it and QAPI does.
_LIMITS = {
    "throttling.bps-total": "bps", "throttling.bps-read": "bps_rd",
    "throttling.bps-write": "bps_wr", "throttling.iops-total": "iops",
    "throttling.iops-read": "iops_rd", "throttling.iops-write": "iops_wr",
    "bps": "bps", "bps_rd": "bps_rd", "bps_wr": "bps_wr", "iops": "iops",
    "iops_rd": "iops_rd", "iops_wr": "iops_wr",
}  # fmt: skip

_OFF = frozenset({"off", "no", "false", "n"})
_ON = frozenset({"on", "yes", "true", "y"})

#: Cache modes by ``direct``, ``no-flush``, and whether it writes through.
_CACHES: dict[tuple[bool, bool, bool], Cache] = {
    (False, False, False): "writeback",
    (True, False, False): "none",
    (False, False, True): "writethrough",
    (True, False, True): "directsync",
    (False, True, False): "unsafe",
}


class Image(NamedTuple):
    """One image."""

    file: str
    format: str
    cache: Cache
    read_only: bool
    throttle: Throttle | None


def image(
    keys: Mapping[str, str], block: Block | None, ground: Ground
) -> tuple[Image | None, str]:
    """Tell which image it is; None: there is none.

    :param keys: of the drive, or the node
    :param block: what QEMU told of it
    :return: and why it is none for a definition, or ``""``
    """
    for key, value in keys.items():
        if key not in _KNOWN and key not in _LIMITS and value not in _OFF:
            return None, f"a definition can't say {key}={value} of a disk"
    if keys.get("snapshot") in _ON:
        return None, "with snapshot=on its image is not written to"
    named = keys.get("file.filename") or keys.get("file", "")
    if ground.live and block is None:
        return None, "QEMU has no such disk any more"
    if block:
        return _told(keys, block, ground)
    if not named:
        return None, ""
    if ":" in named.partition("/")[0] and not named.startswith("file:"):
        return None, f"{named} is no file"
    driver = keys.get("file.driver", "file")
    if driver not in ("file", "host_device"):
        return None, f"{driver} is no file"
    known = keys.get("format") or keys.get("driver", "")
    if not known and keys.get("media") == "cdrom":
        known = "raw"
    if known not in get_args(model.ImageFormat):
        what = f"is {known}" if known else "is not said"
        return None, f"the format of its image {what}, and nobody told it"
    return _make(
        keys, ground.absolute(named.removeprefix("file:")), known, {}
    ), ""


def _told(
    keys: Mapping[str, str], block: Block, ground: Ground
) -> tuple[Image | None, str]:
    if block.file is None:
        return None, ""
    if not block.protocol or block.file.startswith("/dev/fdset"):
        return None, f"{block.file} is no file of its own"
    if block.encrypted:
        return None, "its image is encrypted"
    is_cd = keys.get("media") == "cdrom" or block.protocol == "host_cdrom"
    if block.format not in get_args(model.ImageFormat) and not is_cd:
        return None, f"its image has the format {block.format}"
    image_format = "raw" if block.format == "host_cdrom" else block.format
    made = _make(keys, ground.absolute(block.file), image_format, block.limits)
    if made.read_only != block.read_only:
        made = made._replace(read_only=block.read_only)
    return made, ""


def _make(
    keys: Mapping[str, str],
    file: str,
    image_format: str,
    limits: Mapping[str, int],
) -> Image:
    said = {
        _LIMITS[key]: int(value)
        for key, value in keys.items()
        if key in _LIMITS and value.isdecimal() and int(value)
    }
    found = dict(limits) or said
    mode = keys.get("cache", "writeback")
    direct = mode in ("none", "off", "directsync") or _is_on(
        keys, "cache.direct", "file.cache.direct"
    )
    careless = mode == "unsafe" or _is_on(
        keys, "cache.no-flush", "file.cache.no-flush"
    )
    through = mode in ("writethrough", "directsync") or (
        keys.get("cache.writeback") in _OFF
    )
    throttle = Throttle(
        bps=found.get("bps", 0),
        bps_read=found.get("bps_rd", 0),
        bps_write=found.get("bps_wr", 0),
        iops=found.get("iops", 0),
        iops_read=found.get("iops_rd", 0),
        iops_write=found.get("iops_wr", 0),
    )
    return Image(
        file=file,
        format=image_format,
        cache=_CACHES.get((direct, careless, through), "writeback"),
        read_only=_is_on(keys, "readonly", "read-only"),
        throttle=throttle if found else None,
    )


def _is_on(keys: Mapping[str, str], *names: str) -> bool:
    return any(keys.get(name) in _ON for name in names)
