"""What to do about the usual reasons for which QEMU does not start."""

import re

_HINTS = (
    (
        r"Could not set up host forwarding rule",
        "another program uses that host port: change it in [[nics.forwards]] "
        "with 'qemu edit'",
    ),
    (
        r"Failed to get .*lock",
        "another QEMU or qemu-img has the image open; 'qemu list' shows ours",
    ),
    (
        r"Could not access KVM|failed to initialize kvm",
        "'qemu doctor' looks at KVM; 'qemu set NAME machine.accel=tcg "
        "machine.cpu=max' does without",
    ),
    (
        r"[Cc]annot set up guest memory|Cannot allocate memory",
        "the host has not enough free memory; 'qemu set NAME memory=…' "
        "gives the guest less",
    ),
    (
        r"Could not open '([^']*)': No such file",
        "put the file back, or take it out of the definition with 'qemu edit'",
    ),
    (r"Permission denied", "'qemu doctor' looks at permissions"),
    (
        r"invalid option|is not a valid device|Property .* not found",
        "is that an argument of your own?  See qemu_args in 'qemu edit'",
    ),
    (
        r"unsupported machine type",
        "this QEMU is older than the one the VM was created with",
    ),
)


def hint_for(words: str) -> str | None:
    """Return what to do about an error message of QEMU, if it is known."""
    for pattern, hint in _HINTS:
        if re.search(pattern, words):
            return hint
    return None
