"""Sizes and durations as people type and read them: ``2G``, ``10s``."""

import re

from qemu_cli.errors import UsageError

#: QEMU's own limit: sizes are signed 64-bit numbers of bytes.
SIZE_MAX = 2**63 - 1

# Not compiled here: `qemu list` parses no size, and re remembers it.
_SIZE = r"([0-9]{1,20})(?:\.([0-9]{1,20}))?([kmgt]?)(?:i?b)?"
_SIZE_FACTORS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}

_DURATION = r"([0-9]{1,10}(?:\.[0-9]{1,10})?)(ms|s|m|h|d)?"
_DURATION_FACTORS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400}


def parse_size(text: str) -> int:
    """Turn ``2G``, ``512M``, ``1.5T`` or a plain number into bytes.

    k, M, G and T (either case, ``B`` or ``iB`` may follow) are powers of
    1024, as in qemu-img.

    :return: bytes, from 1 to 2^63 - 1; a part of a byte is dropped
    :raise UsageError: when it is anything else
    """
    match = re.fullmatch(_SIZE, text.strip().lower())
    size = 0
    if match:
        whole, part, unit = match.groups("")
        # In integers: a float is not exact above 2^53.
        number, scale = int(whole + part), 10 ** len(part)
        size = number * _SIZE_FACTORS[unit] // scale
    if not 1 <= size <= SIZE_MAX:
        raise UsageError(
            f"'{text}' is not a size",
            hint="a size is a number and k, M, G or T, as in 512M or 1.5G;"
            " it is more than nothing and less than 8388608T",
        )
    return size


def parse_duration(text: str) -> float:
    """Turn ``500ms``, ``10s``, ``2m``, ``1h``, ``1d`` or ``10`` into seconds.

    :return: seconds; 0 is allowed
    :raise UsageError: when it is anything else
    """
    match = re.fullmatch(_DURATION, text.strip().lower())
    if not match:
        raise UsageError(
            f"'{text}' is not a duration",
            hint="a duration is a number and ms, s, m, h or d,"
            " as in 500ms, 10s or 1.5h; without a unit it is seconds",
        )
    number, unit = match.groups()
    return float(number) * _DURATION_FACTORS[unit or "s"]


def format_size(size_bytes: int) -> str:
    """Turn bytes into ``"2.0 GiB"``."""
    if size_bytes < 1024:
        return f"{size_bytes} B"
    size = float(size_bytes)
    for unit in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        size /= 1024
        if size < 1023.95:  # what is above is rounded to 1024.0
            return f"{size:.1f} {unit}"
    return f"{size / 1024:.1f} EiB"


def format_rate(bytes_s: float) -> str:
    """Turn bytes in a second into ``"1.5M/s"``: seven characters at most."""
    if bytes_s < 999.5:
        return f"{round(bytes_s)}B/s"
    for unit in "KMGTPE":
        bytes_s /= 1024
        if bytes_s < 9.95:
            return f"{bytes_s:.1f}{unit}/s"
        if bytes_s < 999.5 or unit == "E":
            break
    return f"{round(bytes_s)}{unit}/s"


def format_duration(seconds: float) -> str:
    """Turn seconds into ``"3h 12m"``: the two largest units."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    left = round(seconds)
    parts: list[str] = []
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, length)
        if count or parts:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])
