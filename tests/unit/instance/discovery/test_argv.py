"""discovery.argv: command lines as QEMU, people and tools write them."""

import re
import subprocess

import pytest

from qemu_cli.instance.discovery.argv import FLAGS, Monitor, parse
from qemu_cli.testing.real_qemu import binary

UNIX = Monitor("qmp", "unix", "/run/q.sock")


def monitors(*words: str, program: str = "qemu-system-x86_64"):
    return list(parse((program, *words)).monitors)


@pytest.mark.parametrize(
    "words",
    [
        ("-qmp", "unix:/run/q.sock,server=on,wait=off"),
        ("-qmp", "unix:/run/q.sock,server,nowait"),
        ("--qmp", "unix:/run/q.sock,server=on,wait=off"),
        (
            *("-chardev", "socket,id=c,path=/run/q.sock,server=on,wait=off"),
            *("-mon", "chardev=c,mode=control"),
        ),
        (
            *("-mon", "mode=control,chardev=c"),
            *("-chardev", "socket,server=on,path=/run/q.sock,id=c"),
        ),
        (
            *("-mon", "c,mode=control"),
            *("-chardev", "backend=socket,server=yes,path=/run/q.sock,id=c"),
        ),
        (
            *("-chardev", "socket,id=c,path=/run/q.sock,server=on"),
            *("-qmp", "chardev:c"),
        ),
        # What has no value swallows nothing.
        *(
            (flag, "-qmp", "unix:/run/q.sock,server=on")
            for flag in ("-S", "-daemonize", "-nographic", "--preconfig")
        ),
    ],
)
def test_a_qmp_monitor_by_any_spelling(words):
    assert monitors(*words) == [UNIX]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("-qmp", "stdio"), Monitor("qmp", "stdio")),
        (
            ("-qmp-pretty", "unix:/run/q,server=on"),
            Monitor("qmp", "unix", "/run/q", True, "pretty"),
        ),
        (
            (
                *("-mon", "mode=control,chardev=c,pretty=on"),
                *("-chardev", "socket,id=c,path=/run/q,server=on"),
            ),
            Monitor("qmp", "unix", "/run/q", True, "pretty"),
        ),
        (("-qmp", "pty"), Monitor("qmp", "pty")),
        (("-monitor", "vc:80Cx24C"), Monitor("hmp", "vc")),
        (("-monitor", "stdio"), Monitor("hmp", "stdio")),
        (
            ("-serial", "mon:stdio"),
            Monitor("hmp", "stdio"),
        ),
        (
            ("-serial", "mon:telnet::4444,server=on"),
            Monitor("hmp", "tcp", ":4444", True, "telnet"),
        ),
        (
            ("-monitor", "unix:/run/m,server=on"),
            Monitor("hmp", "unix", "/run/m"),
        ),
        (
            ("-qmp", "tcp:localhost:4444,server=on,wait=off"),
            Monitor("qmp", "tcp", "localhost:4444"),
        ),
        (
            ("-qmp", "tcp:[::1]:4444,server"),
            Monitor("qmp", "tcp", "[::1]:4444"),
        ),
        (
            ("-qmp", "tcp::4444,server"),
            Monitor("qmp", "tcp", ":4444"),
        ),
        (
            ("-qmp", "telnet:localhost:4444,server"),
            Monitor("qmp", "tcp", "localhost:4444", True, "telnet"),
        ),
        (
            ("-qmp", "tcp:10.0.0.1:4444"),
            Monitor("qmp", "tcp", "10.0.0.1:4444", False),
        ),
        (
            ("-qmp", "unix:/with a,,comma=x,server=on"),
            Monitor("qmp", "unix", "/with a,comma=x"),
        ),
        (
            ("-qmp", "unix:q.sock,server=on"),
            Monitor("qmp", "unix", "q.sock"),
        ),
    ],
)
def test_every_kind_of_monitor(words, found):
    assert monitors(*words) == [found]


@pytest.mark.parametrize(
    ("chardev", "found"),
    [
        ("socket,id=c,fd=29,server=on", Monitor("qmp", "fd", "29")),
        ("socket,id=c,fd=29", Monitor("qmp", "fd", "29", False)),
        (
            "socket,id=c,path=name,abstract=on,server=on",
            Monitor("qmp", "abstract", "@name"),
        ),
        (
            "socket,id=c,host=::1,port=5,server=on",
            Monitor("qmp", "tcp", "[::1]:5"),
        ),
        (
            "socket,id=c,host=h,port=5,server=on,websocket=on",
            Monitor("qmp", "tcp", "h:5", True, "websocket"),
        ),
        (
            "socket,id=c,host=h,port=5,server=on,tls-creds=t",
            Monitor("qmp", "tcp", "h:5", True, "tls"),
        ),
        (
            "socket,id=c,path=/s,server=on,mux=on",
            Monitor("qmp", "unix", "/s", True, "mux"),
        ),
        (
            "socket,id=c,path=/a,,b,,,server=on",
            Monitor("qmp", "unix", "/a,b,"),
        ),
        ("pipe,id=c,path=/p", Monitor("qmp", "pipe")),
        ("stdio,id=c", Monitor("qmp", "stdio")),
        ("spiceport,id=c,name=org.qemu", Monitor("qmp", "spiceport")),
    ],
)
def test_every_kind_of_chardev(chardev, found):
    assert monitors("-chardev", chardev, "-mon", "c,mode=control") == [found]


def test_what_listens_and_is_no_monitor():
    assert not monitors(
        *("-gdb", "tcp::1234", "-s"),
        *("-incoming", "unix:/run/in.sock"),
        *("-serial", "unix:/run/serial.sock,server=on,wait=off"),
        *("-chardev", "socket,id=c,path=/run/agent,server=on,wait=off"),
        *("-device", "virtserialport,chardev=c"),
        *("-vnc", "unix:/run/vnc"),
        *("-append", "-qmp"),
        *("-name", "-qmp unix:/x,server"),
        *("-monitor", "none"),
        *("-qmp", "none"),
        "unix:/run/disk,server=on",
    )


def test_a_monitor_whose_chardev_is_nowhere():
    assert monitors("-mon", "c,mode=control") == [Monitor("qmp", "unknown")]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("-name", "web"), "web"),
        (("-name", "guest=web,debug-threads=on"), "web"),
        (("-name", "process=x,guest=a,,b=c"), "a,b=c"),
        (("-name", "a b\n"), "a b\n"),
        (("-name", "one", "-name", "debug-threads=on"), "one"),
        ((), ""),
    ],
)
def test_names(words, name):
    assert parse(("qemu-system-arm", *words)).name == name


CONFIG = """\
# a comment
[name]
  guest = "web"
[chardev "monitor"]
backend = "socket"
path = "/run/incus/web/qemu.monitor"
server = "on"
wait = "off"

[mon]
  chardev = "monitor"
  mode = "control"
[device "x"]
  driver = "virtio-serial"
"""


def test_a_file_of_options():
    argv = ("qemu-system-x86_64", "-readconfig", "q.conf", "-daemonize")
    found = parse(argv, {"q.conf": CONFIG}.get)
    assert found.name == "web"
    assert found.daemonized
    assert found.monitors == (
        Monitor("qmp", "unix", "/run/incus/web/qemu.monitor"),
    )
    assert found.unread == ""
    assert parse(argv).unread == "q.conf"


def test_the_storage_daemon():
    assert monitors(
        *("--chardev", "socket,id=c,path=/run/q.sock,server=on,wait=off"),
        *("--monitor", "chardev=c"),
        "--daemonize",
        program="/usr/bin/qemu-storage-daemon",
    ) == [UNIX]
    assert monitors(
        "--chardev=socket,id=c,path=/run/q.sock,server=on",
        "--monitor=c",
        program="qemu-storage-daemon",
    ) == [UNIX]


@pytest.mark.parametrize("argv", [(), ("",), ("qemu", "-qmp"), ("q", "-")])
def test_anything_is_a_command_line(argv):
    parse(argv)


def test_the_options_without_a_value_are_those_of_qemu():
    text = subprocess.run(
        [binary(), "-help"], capture_output=True, text=True, check=True
    ).stdout
    # Two blanks or a tab part an option that has no value from its text.
    flags = re.findall(r"^--?([\w-]+)(?: {2,}|\t|$)", text, re.MULTILINE)
    assert len(flags) > 20
    # Of -dtb, the help parts the value as if it were the text.
    assert set(flags) - FLAGS == {"dtb"}
