"""failures: hints for what QEMU really says (7.2 and 10)."""

import pytest

from qemu_cli.instance.failures import hint_for


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (
            "-netdev user,id=net0,hostfwd=tcp:127.0.0.1:22-:22: Could not "
            "set up host forwarding rule 'tcp:127.0.0.1:22-:22'",
            "another program uses that host port",
        ),
        ('Failed to get "write" lock', "has the image open"),
        ('Failed to get shared "write" lock', "has the image open"),
        (
            "Could not access KVM kernel module: No such file or directory",
            "qemu doctor",
        ),
        ("failed to initialize kvm: Permission denied", "looks at KVM"),
        (
            "cannot set up guest memory 'pc.ram': Cannot allocate memory",
            "not enough free memory",
        ),
        (
            "Could not open '/d/disk.qcow2': No such file or directory",
            "put the file back",
        ),
        ("Could not open '/dev/sda': Permission denied", "permissions"),
        ("-nosuch: invalid option", "an argument of your own"),
        (
            "-device nosuch: 'nosuch' is not a valid device model name",
            "an argument of your own",
        ),
        ("Property 'pc.nosuch' not found", "an argument of your own"),
        (
            "-machine pc-q35-99.0: unsupported machine type",
            "older than the one",
        ),
    ],
)
def test_the_usual_reasons_have_a_hint(words: str, hint: str) -> None:
    assert hint in (hint_for(words) or "")


def test_an_unknown_reason_has_none() -> None:
    assert hint_for("terminating on signal 15") is None
