"""The command lines of the programs that serve images."""

import json
from pathlib import Path

from qemu_cli.storage import storage_daemon
from qemu_cli.storage.storage_daemon import Served, Tls

QSD = "/usr/bin/qemu-storage-daemon"


def after(argv: tuple[str, ...], option: str) -> str:
    return argv[argv.index(option) + 1]


def serve(**options: object) -> tuple[str, ...]:
    node = storage_daemon.image_node(Path("/d/a,b.qcow2"), "qcow2")
    return storage_daemon.argv(
        QSD,
        [Served("e0", "disk,0", node)],
        storage_daemon.unix_server(Path("/r/n.sock")),
        pid_file=Path("/r/e0.pid"),
        **options,  # type: ignore[arg-type]
    )


def test_an_image_is_read_only_unless_told_otherwise() -> None:
    argv = serve()
    node = json.loads(after(argv, "--blockdev"))
    assert node["read-only"] is node["file"]["read-only"] is True
    assert json.loads(after(argv, "--export"))["writable"] is False
    assert "discard" not in node
    writable = storage_daemon.image_node(Path("/d/a"), "raw", writable=True)
    assert writable["read-only"] is writable["file"]["read-only"] is False
    assert writable["discard"] == "unmap"


def test_names_can_be_anything() -> None:
    argv = serve()
    node = json.loads(after(argv, "--blockdev"))
    assert node["file"]["filename"] == "/d/a,b.qcow2"
    assert json.loads(after(argv, "--export"))["name"] == "disk,0"


def test_it_is_ready_when_it_has_put_itself_in_the_background() -> None:
    assert serve()[-3:] == ("--pidfile", "/r/e0.pid", "--daemonize")


def test_a_comma_in_the_path_of_a_monitor_is_doubled() -> None:
    argv = serve(monitor=Path("/r,x/m.sock"))
    assert ",path=/r,,x/m.sock,server=on" in after(argv, "--chardev")
    assert after(argv, "--monitor") == "chardev=qmp0"


def test_clients_need_certificates_as_well() -> None:
    argv = serve(tls=Tls("x509", "/c"), max_connections=3)
    secrets = json.loads(after(argv, "--object"))
    assert secrets["qom-type"] == "tls-creds-x509"
    assert secrets["verify-peer"] is True
    server = json.loads(after(argv, "--nbd-server"))
    assert server["tls-creds"] == secrets["id"]
    assert server["max-connections"] == 3
    # What it refers to must be there before.
    assert argv.index("--object") < argv.index("--nbd-server")


def test_a_port_is_a_string() -> None:
    address = storage_daemon.inet_server("127.0.0.1", 10809)
    assert address["port"] == "10809"


def test_a_snapshot_is_served_while_a_vm_has_the_image() -> None:
    argv = storage_daemon.snapshot_argv(
        "/usr/bin/qemu-nbd",
        Path("/d/a,b.qcow2"),
        "before, the upgrade",
        name="disk0",
        socket=Path("/r/n.sock"),
        pid_file=Path("/r/e0.pid"),
    )
    assert "--read-only" in argv
    options = after(argv, "--image-opts")
    assert "force-share=on" in options
    assert "file.filename=/d/a,,b.qcow2" in options
    assert after(argv, "--load-snapshot") == (
        "snapshot.name=before,, the upgrade"
    )
