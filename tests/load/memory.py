"""Measures what tunnels cost: memory when idle, with and without TLS, and when one
end never reads, CPU and the answers of 2,000 tunnels while one floods."""

import asyncio
import os
import ssl
import subprocess
import sys
import tempfile
import threading
import time

from rig import BINARY, Adit, backend, binary_from, exactly, frame, request, tunnel

TUNNELS = 2000
TLS_TUNNELS = 1000
STUCK = 16
SECONDS = 10
IDLE_LIMIT = 1024
IDLE_TLS_LIMIT = 6 * 1024
STUCK_LIMIT = 256 * 1024

rows = []
failures = []


def row(what, value, limit=None):
    shown = f"{value / 1024:.2f} KiB" if isinstance(value, (int, float)) else value
    allowed = "" if limit is None else f"at most {limit / 1024:.0f} KiB"
    rows.append((what, shown, allowed))
    if limit is not None and value > limit:
        failures.append(what)


class Echo(asyncio.Protocol):
    """The backend of the many tunnels."""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


class Client(asyncio.Protocol):
    """One of the many: opens a tunnel, then counts and times its echoes."""

    def __init__(self):
        self.open = asyncio.get_running_loop().create_future()
        self.heard = b""
        self.delays = []
        self.sent = None

    def connection_made(self, transport):
        self.transport = transport
        transport.write(request("/echo"))

    def data_received(self, data):
        self.heard += data
        if not self.open.done():
            if b"\r\n\r\n" not in self.heard:
                return
            head, self.heard = self.heard.split(b"\r\n\r\n", 1)
            assert head.startswith(b"HTTP/1.1 101 "), head
            self.open.set_result(None)
        while len(self.heard) >= 34:
            assert self.heard[:2] == b"\x82\x20", self.heard[:34]
            self.heard = self.heard[34:]
            self.delays.append(time.monotonic() - self.sent)
            self.sent = None

    def connection_lost(self, _):
        if not self.open.done():
            self.open.set_exception(SystemExit("a tunnel was refused"))

    def ask(self):
        """Sends one message, unless the last one is still under way."""
        if self.sent is None:
            self.sent = time.monotonic()
            self.transport.write(QUESTION)


QUESTION = frame(BINARY, bytes(32))


async def opened(address, n, **tls):
    """`n` open tunnels; no more at a time than a backlog holds."""
    loop = asyncio.get_running_loop()
    clients = []
    while len(clients) < n:
        some = min(100, n - len(clients))
        pairs = [await loop.create_connection(Client, *address, **tls) for _ in range(some)]
        clients += [client for _, client in pairs]
        await asyncio.gather(*(client.open for _, client in pairs))
    return clients


async def many(binary, flood_port):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    adit = Adit(binary, {"/echo": port, "/flood": flood_port})
    warm = await opened(adit.address, 20)
    before, resident = adit.anonymous(), adit.resident()
    clients = await opened(adit.address, TUNNELS)
    row("idle tunnel, heap", (adit.anonymous() - before) / TUNNELS, IDLE_LIMIT)
    row("idle tunnel, RSS", (adit.resident() - resident) / TUNNELS)

    await echoes(adit, clients, 1)
    await echoes(adit, clients, SECONDS)
    report(adit, clients, "alone")
    stop, flooded = flood_through(adit.address)
    cpu = adit.cpu()
    await echoes(adit, clients, SECONDS)
    stop.set()
    report(adit, clients, "while one floods")
    row("  CPU time of adit per second", f"{(adit.cpu() - cpu) / SECONDS:.2f} s")
    row("  flooded", f"{flooded() / SECONDS / 1e6:.0f} MB/s")
    row("idle tunnel after echoes, heap", (adit.anonymous() - before) / TUNNELS)
    for client in warm + clients:
        client.transport.abort()
    await asyncio.to_thread(adit.end)


async def secure(binary, version):
    """Idle tunnels over TLS."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    with tempfile.TemporaryDirectory() as directory:
        script = os.path.join(os.path.dirname(__file__), "../../scripts/certs.sh")
        subprocess.run([script, directory], check=True, stdout=subprocess.DEVNULL)
        files = f'tls-cert = "{directory}/cert.pem"\ntls-key = "{directory}/key.pem"\n'
        adit = Adit(binary, {"/echo": port}, listen=files)
        context = ssl.create_default_context(cafile=f"{directory}/ca.pem")
        context.maximum_version = version
        tls = {"ssl": context, "server_hostname": "localhost"}
        warm = await opened(adit.address, 20, **tls)
        before, resident = adit.anonymous(), adit.resident()
        clients = await opened(adit.address, TLS_TUNNELS, **tls)
        name = f"idle {version.name.replace('_', '.')} tunnel"
        row(f"{name}, heap", (adit.anonymous() - before) / TLS_TUNNELS, IDLE_TLS_LIMIT)
        row(f"{name}, RSS", (adit.resident() - resident) / TLS_TUNNELS)
        await echoes(adit, clients, 2)
        heap = (adit.anonymous() - before) / TLS_TUNNELS
        row(f"{name} after echoes, heap", heap, IDLE_TLS_LIMIT)
        for client in warm + clients:
            client.transport.abort()
        await asyncio.to_thread(adit.end)


async def echoes(adit, clients, seconds):
    """Each client asks once a second, all spread over it."""
    for client in clients:
        client.delays.clear()
    start = time.monotonic()
    steps = 50
    for step in range(seconds * steps):
        for client in clients[step % steps :: steps]:
            client.ask()
        await asyncio.sleep(max(0, start + (step + 1) / steps - time.monotonic()))


def report(adit, clients, when):
    delays = sorted(delay for client in clients for delay in client.delays)
    silent = sum(not client.delays for client in clients)
    if silent:
        failures.append(f"{silent} tunnels got no answer {when}")
    shown = [f"{1000 * delays[int(len(delays) * q)]:.1f}" for q in (0.5, 0.99)]
    shown.append(f"{1000 * delays[-1]:.1f}")
    row(f"{TUNNELS} tunnels echoing, {when}", f"{len(delays)} answers")
    row("  delay 50 %, 99 %, longest", " / ".join(shown) + " ms")


def flooder():
    """A process of its own whose connections never stop talking; its port."""
    ours, theirs = os.pipe()
    if os.fork() == 0:
        def talk(connection):
            try:
                while True:
                    connection.sendall(bytes(1 << 18))
            except OSError:
                pass

        os.write(theirs, str(backend(talk)).encode())
        os.close(theirs)
        parent = os.getppid()
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(0)
    os.close(theirs)
    return int(os.read(ours, 16))


def flood_through(address):
    """Reads a flood on a thread; how to stop it, and how much it was."""
    stop, total = threading.Event(), [0]

    def read():
        client = tunnel(address, "/flood")
        buffer = bytearray(1 << 20)
        while not stop.is_set():
            total[0] += client.recv_into(buffer)
        client.close()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()

    def flooded():
        reader.join()
        return total[0]

    return stop, flooded


def full(connection, bytes_):
    """Writes until nothing more is taken for a second."""
    connection.settimeout(1)
    try:
        while True:
            connection.sendall(bytes_)
    except TimeoutError:
        pass


def stuck(binary, direction):
    """The cost of an end that never reads. What the loop takes once for itself
    counts too, and nothing is warmed up: freed memory would hide it."""
    accepted = []
    here = threading.Semaphore(0)
    done = threading.Event()

    def keep(connection):
        accepted.append(connection)
        here.release()
        done.wait()

    adit = Adit(binary, {"/": backend(keep)})
    clients = [tunnel(adit.address, "/") for _ in range(STUCK)]
    for _ in clients:
        here.acquire()
    before = adit.anonymous()
    from_backend = direction == "client"
    bytes_ = bytes(65536) if from_backend else frame(BINARY, bytes(1000)) * 60
    talkers = accepted if from_backend else clients
    threads = [threading.Thread(target=full, args=(talker, bytes_)) for talker in talkers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cost = (adit.anonymous() - before) / STUCK
    row(f"{direction} that never reads, heap", cost, STUCK_LIMIT)
    for end in clients + accepted:
        end.close()
    done.set()
    adit.end()


def main():
    binary = binary_from(sys.argv)
    flood_port = flooder()
    asyncio.run(many(binary, flood_port))
    for version in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
        asyncio.run(secure(binary, version))
    stuck(binary, "client")
    stuck(binary, "backend")
    for what, value, allowed in rows:
        print(f"{what:<44}{value:>24}  {allowed}")
    if failures:
        raise SystemExit("adit: too much: " + "; ".join(failures))


main()
