"""QEMU's user network, seen from outside: real flows through the stack.

The host's ends are here, the guest's are busybox; 10.0.2.2 is this host.
"""

import contextlib
import hashlib
import http.server
import os
import socket
import socketserver
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

HOST = "10.0.2.2"
GUEST = "10.0.2.15"
TIMEOUT_S = 60
MIB = 1 << 20

#: The ports in the guest that lead to it from here.
INSIDE = {name: 7000 + n for n, name in enumerate(("http", "a", "b", "c"))}


@pytest.fixture(scope="module")
def forwards():
    """A port of this host for each port in the guest."""
    ports = {}
    with contextlib.ExitStack() as stack:
        for name in INSIDE:
            one = stack.enter_context(socket.socket())
            one.bind(("127.0.0.1", 0))
            ports[name] = one.getsockname()[1]
    return ports


@pytest.fixture(scope="module")
def guest(boot, forwards):
    options = [
        word
        for name, port in forwards.items()
        for word in ("--forward", f"{port}:{INSIDE[name]}")
    ]
    guest = boot("flows", "--memory", "512M", *options)
    guest.until(lambda: GUEST in guest.sh("ip addr show dev eth0"))
    guest.sh(
        "mkdir /tmp/www && echo hello >/tmp/www/x"
        f" && httpd -p {INSIDE['http']} -h /tmp/www"
    )
    return guest


def connect(port):
    client = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
    client.settimeout(TIMEOUT_S)
    return client


def drain(client):
    """All that comes until the other end has said all."""
    blocks = []
    while block := client.recv(1 << 16):
        blocks.append(block)
    return b"".join(blocks)


@contextlib.contextmanager
def serving(server):
    """Serve on a port of loopback; yields it."""
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def once(work):
    """Do something with the first that connects; yields the port."""
    failed = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT_S)

        def serve():
            try:
                client, _ = listener.accept()
                with client:
                    client.settimeout(TIMEOUT_S)
                    work(client)
            except (OSError, AssertionError) as error:
                failed.append(error)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()
    assert not failed, failed


def connections(guest, state="ESTABLISHED"):
    """How many TCP connections the stack has in a state."""
    found = guest.home("net", "connections", guest.name, "-f", "json").json
    return sum(r["protocol"] == "tcp" and r["state"] == state for r in found)


def listening(guest, port, line):
    """Have the guest serve one client with a shell line."""
    guest.sh(f"nc -l -p {port} -e sh -c '{line}' >/dev/null 2>&1 &")
    guest.until(lambda: f":{port} " in guest.sh("netstat -ltn"))


def test_the_guest_has_its_address_by_dhcp(guest):
    assert "default via 10.0.2.2" in guest.sh("ip route")
    again = guest.sh("udhcpc -i eth0 -n -q -f -s /bin/true 2>&1")
    assert f"lease of {GUEST} obtained" in again
    (card,) = guest.home("net", "list", guest.name, "-f", "json").json
    assert GUEST in card["addresses"]


def test_the_host_answers_a_ping(guest):
    assert "3 packets received" in guest.sh(f"ping -c 3 -i 0.2 {HOST}")


class Site(http.server.BaseHTTPRequestHandler):
    """Serves bytes, and keeps what it is sent."""

    data = b""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.data)))
        self.end_headers()
        self.wfile.write(self.data)

    def log_message(self, *words):
        pass


def site(data):
    handler = type("Handler", (Site,), {"data": data})
    return serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))


def fetch(guest, size):
    """Have the guest fetch so many bytes; these."""
    data = os.urandom(size)
    with site(data) as port:
        line = f"wget -q -O /tmp/www/big http://{HOST}:{port}/x"
        said = guest.sh(f"{line} && md5sum </tmp/www/big")
    assert said.split()[0] == hashlib.md5(data).hexdigest()
    return data


def test_100_mb_into_the_guest_and_out_again(guest, forwards):
    data = fetch(guest, 100 * MIB)
    with connect(forwards["http"]) as client:
        client.sendall(b"GET /big HTTP/1.0\r\n\r\n")
        _, _, body = drain(client).partition(b"\r\n\r\n")
    assert hashlib.md5(body).digest() == hashlib.md5(data).digest()
    assert len(body) == 100 * MIB
    guest.sh("rm /tmp/www/big")


def test_100_at_once_into_the_guest(guest, forwards):
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(100):
            clients.append(stack.enter_context(connect(forwards["http"])))
            time.sleep(0.01)  # the stack has room for one that it has not seen
        guest.until(lambda: connections(guest) >= 100)
        for client in clients:
            client.sendall(b"GET /x HTTP/1.0\r\n\r\n")
        for client in clients:
            assert drain(client).endswith(b"hello\n")
    guest.until(lambda: connections(guest) == 0)


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(self.request.recv(1024))


class Many(socketserver.ThreadingTCPServer):
    request_queue_size = 200


def test_50_at_once_out_of_the_guest(guest):
    with serving(Many(("127.0.0.1", 0), Echo)) as port:
        said = guest.sh(
            "n=0; while [ $n -lt 50 ]; do n=$((n + 1)); "
            f"(echo word $n | nc {HOST} {port}) & done; wait"
        )
    assert sorted(said.splitlines()) == sorted(
        f"word {n}" for n in range(1, 51)
    )


def test_a_client_that_has_said_all_still_hears(guest, forwards):
    """Half-close from outside: the guest answers after our FIN."""
    listening(guest, INSIDE["a"], "md5sum; echo late")
    data = os.urandom(MIB)
    with connect(forwards["a"]) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        said = drain(client).decode()
    assert said == f"{hashlib.md5(data).hexdigest()}  -\nlate\n"


def test_a_server_that_has_said_all_still_hears(guest):
    """Half-close from inside the other way: we end first."""
    heard = []

    def say(client):
        client.sendall(b"all I have\n")
        client.shutdown(socket.SHUT_WR)
        heard.append(drain(client))

    with once(say) as port:
        guest.sh(f"nc {HOST} {port} -e sh -c 'cat; sleep 1; echo late'")
    assert heard == [b"all I have\nlate\n"]


def test_nobody_listens(guest):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        began = time.monotonic()
        done = guest.exec("nc", HOST, str(port))
    assert done.returncode != 0
    assert time.monotonic() - began < 20


def test_a_forward_that_goes_leaves_its_connections(guest, forwards):
    listening(guest, INSIDE["b"], "read x; echo got $x")
    port = forwards["b"]
    forward = f"{port}:{INSIDE['b']}"
    with connect(port) as client:
        guest.until(lambda: connections(guest) == 1)
        assert guest.home("forward", "remove", guest.name, forward).rc == 0
        with pytest.raises(ConnectionRefusedError):
            connect(port)
        client.sendall(b"it\n")
        assert drain(client) == b"got it\n"
    assert guest.home("forward", "add", guest.name, forward).rc == 0
    listening(guest, INSIDE["b"], "echo again")
    with connect(port) as client:
        assert drain(client) == b"again\n"


class Tftp(socketserver.BaseRequestHandler):
    """One file, in blocks of 512 bytes (RFC 1350)."""

    data = os.urandom(20_000)

    def handle(self):
        packet, sock = self.request
        opcode, block = struct.unpack("!HH", packet[:4])
        number = 0 if opcode == 1 else block
        start = number * 512
        if start <= len(self.data):
            part = self.data[start : start + 512]
            reply = struct.pack("!HH", 3, number + 1) + part
            sock.sendto(reply, self.client_address)


def test_udp_out_of_the_guest_and_back(guest):
    with serving(socketserver.UDPServer(("127.0.0.1", 0), Tftp)) as port:
        line = f"tftp -g -r x -l /tmp/x {HOST} {port} && md5sum </tmp/x"
        said = guest.sh(line).split()[0]
    assert said == hashlib.md5(Tftp.data).hexdigest()


def test_udp_into_the_guest(guest, tmp_path):
    """It arrives at the guest's card, and the guest says: nobody here."""
    added = guest.home("forward", "add", guest.name, "7999/udp", "-f", "json")
    port = added.json["host_port"]
    file = tmp_path / "x.pcap"
    with guest.begin("net", "capture", guest.name, file) as capture:
        assert b"capturing" in capture.stderr.readline()

        def seen():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"knock knock", ("127.0.0.1", port))
            return dump(file, "icmp").count("udp port 7999 unreachable")

        guest.until(seen)
        code, _, _ = guest.interrupt(capture)
    assert code == 0
    assert f"> {GUEST}.7999: UDP, length 11" in dump(file, "udp")
    guest.home("forward", "remove", guest.name, "7999/udp")


def dump(file, what):
    """What tcpdump reads in a capture."""
    words = ["tcpdump", "-n", "-r", file, what]
    return subprocess.run(words, capture_output=True, text=True).stdout


def is_connected(guest):
    """What the guest sees, what we say, and what gets through."""
    (card,) = guest.home("net", "list", guest.name, "-f", "json").json
    carrier = guest.sh("cat /sys/class/net/eth0/carrier")
    pings = guest.exec("ping", "-c", "1", "-W", "1", HOST).returncode == 0
    assert (carrier == "1") == (card["link"] == "up") == pings
    return pings


def test_a_cable_is_no_part_of_a_snapshot(guest):
    """The card's half of a pulled cable is in the RAM, the other is not."""

    def qemu(*words):
        result = guest.home(*words)
        assert result.rc == 0, result.err

    name = guest.name
    assert is_connected(guest)
    qemu("snapshot", "create", name, "in")
    qemu("net", "link", name, "down")
    assert not is_connected(guest)
    qemu("snapshot", "create", name, "out")
    qemu("snapshot", "revert", name, "in", "--yes")
    assert not is_connected(guest)  # it is as it was before
    qemu("net", "link", name, "up")
    assert is_connected(guest)
    qemu("snapshot", "revert", name, "out", "--yes")
    assert is_connected(guest)
    qemu("net", "link", name, "down")
    qemu("save", name)
    qemu("start", name)
    assert is_connected(guest)  # a start has all links up


#: Answers each question with 192.0.2.7 (RFC 1035, 5737).
DNS = """
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
print("ready", flush=True)
while True:
    question, peer = server.recvfrom(512)
    end = question.index(0, 12) + 5
    kind = question[end - 4 : end - 2]
    found = kind == bytes((0, 1))
    head = question[:2] + bytes((0x81, 0x80, 0, 1, 0, found, 0, 0, 0, 0))
    answer = bytes.fromhex("c00c00010001000000050004c0000207") * found
    server.sendto(head + question[12:end] + answer, peer)
"""


def test_dns(guest, boot, tmp_path):
    """The stack asks the server of the host's resolv.conf: here, our own.

    The VM is started where that is so: in namespaces of its own.
    """
    resolv = tmp_path / "resolv.conf"
    resolv.write_text("nameserver 127.0.0.1\n")
    inside = (
        "ip link set lo up && mount --bind $0 /etc/resolv.conf && exec "
        f"{sys.executable} -c '{DNS}'"
    )
    namespaces = ("unshare", "--mount", "--net", "--")
    server = subprocess.Popen(
        [*namespaces, "sh", "-c", inside, resolv], stdout=subprocess.PIPE
    )
    with server:
        try:
            assert server.stdout.readline() == b"ready\n"
            assert guest.home("quit", guest.name).rc == 0
            start = ("start", guest.name)
            enter = ("nsenter", f"--target={server.pid}", "--mount", "--net")
            subprocess.run(
                [*enter, "--", guest.home.executable, *start],
                env=guest.home.environment,
                check=True,
                timeout=TIMEOUT_S,
            )
            assert guest.home("wait", guest.name, "--for", "agent").rc == 0
            guest.until(lambda: GUEST in guest.sh("ip addr show dev eth0"))
            said = guest.sh("nslookup -type=a example.org 10.0.2.3")
            assert "192.0.2.7" in said
        finally:
            guest.home("kill", guest.name)
            server.kill()
    assert Path("/etc/resolv.conf").read_text() != resolv.read_text()
