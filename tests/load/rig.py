"""What the measuring programs share: adit as a child, and WebSocket by hand.

Only the standard library. Everything is on loopback and on free ports.
"""

import os
import re
import socket
import struct
import subprocess
import tempfile
import threading

PATIENCE = 30
BINARY, CLOSE = 0x82, 0x88
# Python has no name for it before 3.12.
IP_BIND_ADDRESS_NO_PORT = 24
KEY = bytes([0x37, 0xFA, 0x21, 0x3D])


class Adit:
    """A running adit with routes from path to backend port; `before` is put in
    front of its command line, and `listen` and `route` are more lines for its
    listener and its routes; with `scheme` the backends are not plain TCP."""

    def __init__(self, binary, routes, before=(), listen="", route="", scheme=""):
        self.file = tempfile.NamedTemporaryFile("w", suffix=".toml")
        self.file.write('drain-timeout = "100ms"\n[[listen]]\naddress = "127.0.0.1:0"\n')
        self.file.write(listen)
        for path, port in routes.items():
            self.file.write(f'[[route]]\npath = "{path}"\nbackend = "{scheme}127.0.0.1:{port}"\n')
            self.file.write(f'ping-interval = "off"\n{route}')
        self.file.flush()
        self._start([*before, binary, "serve", "--config", self.file.name])

    @classmethod
    def serving(cls, binary, port, *options):
        """One with a route to a backend port and these options, and no file."""
        adit = cls.__new__(cls)
        adit._start([binary, "serve", "127.0.0.1:0", f"127.0.0.1:{port}", *options])
        return adit

    def _start(self, command):
        self.child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.address = ("127.0.0.1", self._port())
        # Nobody reads the log after this, and adit must not wait for it.
        threading.Thread(target=self.child.stderr.read, daemon=True).start()

    def _port(self):
        seen = ""
        for line in self.child.stderr:
            seen += line
            found = re.search(r"listening on 127\.0\.0\.1:(\d+)", line)
            if found:
                return int(found[1])
        raise SystemExit(f"adit does not listen:\n{seen}")

    def anonymous(self):
        """Bytes of the process that no file backs: its heap and stacks."""
        with open(f"/proc/{self.child.pid}/smaps_rollup") as rollup:
            return int(re.search(r"^Anonymous: *(\d+) kB", rollup.read(), re.M)[1]) * 1024

    def resident(self):
        with open(f"/proc/{self.child.pid}/status") as status:
            return int(re.search(r"^VmRSS:\s*(\d+) kB", status.read(), re.M)[1]) * 1024

    def cpu(self):
        """Seconds of CPU time, user and system."""
        with open(f"/proc/{self.child.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self):
        self.child.terminate()
        self.child.wait(PATIENCE)


def request(path):
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def frame(first, payload):
    """A masked frame."""
    n = len(payload)
    head = (
        struct.pack("!BB", first, 128 | n)
        if n < 126
        else struct.pack("!BBH", first, 254, n)
        if n < 65536
        else struct.pack("!BBQ", first, 255, n)
    )
    key = (KEY * (n // 4 + 1))[:n]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")
    return head + KEY + masked.to_bytes(n, "big")


def tunnel(address, path, context=None, source=None):
    """An open tunnel, as a blocking socket; over TLS with a context, and from an
    address of its own with a source."""
    client = socket.socket()
    client.settimeout(PATIENCE)
    if source:
        # The port is chosen with the other end in mind, so others may have it too.
        client.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        client.bind((source, 0))
    client.connect(address)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if context:
        client = context.wrap_socket(client, server_hostname="localhost")
    client.sendall(request(path))
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += exactly(client, 1)
    if not head.startswith(b"HTTP/1.1 101 "):
        raise SystemExit(f"no tunnel: {head!r}")
    return client


def exactly(source, n):
    parts = []
    while n:
        part = source.recv(n)
        if not part:
            raise SystemExit("a connection ended too early")
        parts.append(part)
        n -= len(part)
    return b"".join(parts)


def payload(source, n):
    """The payload of unmasked frames, as many as make `n` bytes."""
    heard = b""
    while len(heard) < n:
        _, size = exactly(source, 2)
        if size == 126:
            (size,) = struct.unpack("!H", exactly(source, 2))
        elif size == 127:
            (size,) = struct.unpack("!Q", exactly(source, 8))
        heard += exactly(source, size)
    return heard


def backend(handler, context=None):
    """A listener whose connections each get a thread; its port. Over TLS with a
    context."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)

    def one(connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context:
            connection = context.wrap_socket(connection, server_side=True)
        with connection:
            handler(connection)

    def serve():
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=one, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


def echo(connection):
    while True:
        data = connection.recv(65536)
        if not data:
            return
        connection.sendall(data)


def binary_from(arguments):
    if len(arguments) != 2:
        raise SystemExit(f"usage: {arguments[0]} ADIT")
    return arguments[1]
