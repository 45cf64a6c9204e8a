"""hmp: texts are QEMU 7.2's and 10's own."""

import pytest

from qemu_cli.errors import RefusedError
from qemu_cli.qmp.hmp import checked


@pytest.mark.parametrize(
    ("command_line", "text"),
    [
        ("x", "unknown command: 'x'\r\n"),
        ("info x", "unknown command: 'info x'\r\n"),
        ("hostfwd_add x", "Invalid host forwarding rule 'x' (No : …)\r\n"),
        (
            "hostfwd_add tcp::22-:22",
            "Could not set up host forwarding rule 'tcp::22-:22'\r\n",
        ),
        ("hostfwd_add nope tcp::1-:2", "unrecognized netdev id 'nope'\r\n"),
        ("hostfwd_remove tcp::1", "host forwarding rule for tcp::1 not found"),
        ("device_del x", "Error: Device 'x' not found\r\n"),
        ("hostfwd_add", "hostfwd_add: string expected\r\n"),
        ("hostfwd_add x", "user mode network stack not in use\r\n"),
        ("sendkey zz", "invalid parameter: zz\r\n"),
        ("trace-event x on", 'unknown event "x"\r\n'),
        ("commit x", "Device 'x' not found\r\n"),
        ("logfile /no/x", "Error opening logfile /no/x: No such file"),
        ("eject", 'eject: block device name expected\nTry "help eject"\r\n'),
    ],
)
def test_an_error_is_raised(command_line, text):
    with pytest.raises(RefusedError) as caught:
        checked(command_line, text)
    assert text.strip().splitlines()[0] in str(caught.value)


@pytest.mark.parametrize(
    ("command_line", "text"),
    [
        ("hostfwd_add tcp::0-:22", ""),
        ("hostfwd_remove tcp::1", "host forwarding rule for tcp::1 removed"),
        ("info status", "VM status: running\r\n"),
        ("info qtree", "Invalid looking, but printed by info\r\n"),
        ("gdbserver none", "Disabled gdbserver\r\n"),
    ],
)
def test_what_is_no_error_is_returned(command_line, text):
    assert checked(command_line, text) == text.replace("\r\n", "\n")
