"""Measures what many real tunnels cost that do nothing, and that do a little: memory of adit and of the kernel, descriptors, time to open, CPU.

Clients and backends are processes of their own, so that each has its own open
files, and clients come from addresses of their own, so that ports suffice."""

import argparse
import collections
import math
import multiprocessing
import os
import re
import resource
import select
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

from rig import BINARY, PATIENCE, Adit, backend, exactly, frame, tunnel

# The most tunnels of one process of clients or backends: there are no more than
# 28,232 ports between two addresses.
SHARE = 10_000
WARM = 20
# Descriptors that adit keeps for other things.
RESERVED = 48
# Longest time to open all, to answer a round of messages, or to end.
LONG = 600
# handshake-timeout is 10 s, and its timer asks each tunnel once more.
SETTLE_SECONDS = 12
IDLE_SECONDS = 10
PING_SECONDS = 30
# How a round of messages is spread: that many steps, this far apart.
STEPS, STEP_SECONDS = 100, 0.1
MESSAGE = bytes(32)
PING, PONG = 0x89, 0x8A
GIGABYTE = 10**9

# What the kernel keeps of a TCP connection, an open file and its place in epoll.
CACHES = """TCP tcp_bind_bucket tcp_bind2_bucket sock_inode_cache dentry filp
    lsm_file_cache lsm_inode_cache eventpoll_epi eventpoll_pwq ep_head""".split()
# Of these a socket has one. More are of files that others read meanwhile.
ONE_EACH = "dentry", "lsm_inode_cache"

Kernel = collections.namedtuple("Kernel", "caches slab sockets pages")


def row(what, value):
    print(f"{what:<48}{value:>22}", flush=True)


def kib(n):
    return f"{n / 1024:.2f} KiB"


class Clients(multiprocessing.Process):
    """A process with many clients, which opens tunnels, sends a message through
    each, and answers pings all the while."""

    def __init__(self, address, source, context):
        super().__init__(daemon=True)
        self.pipe, self.inner = multiprocessing.Pipe()
        self.address, self.source, self.context = address, source, context
        self.start()
        self.inner.close()

    def tell(self, order, n=0):
        self.pipe.send((order, n))

    def done(self):
        if not self.pipe.poll(LONG):
            raise SystemExit(f"clients of {self.source} are not done after {LONG} s")
        self.pipe.recv()

    def run(self):
        self.tunnels, self.answers = {}, 0
        self.epoll = select.epoll()
        while True:
            while not self.inner.poll():
                self.listen(0.01)
            order, n = self.inner.recv()
            getattr(self, order)(n)
            self.inner.send(order)

    def open(self, n):
        for i in range(n):
            client = tunnel(self.address, "/", self.context, self.source)
            client.setblocking(False)
            self.tunnels[client.fileno()] = client
            self.epoll.register(client.fileno(), select.EPOLLIN)
            # The first are pinged while the last are opened.
            if i % 64 == 0:
                self.listen(0)

    def ask(self, _):
        """A message through each tunnel, spread over some seconds."""
        self.answers = 0
        start = time.monotonic()
        clients = list(self.tunnels.values())
        question = frame(BINARY, MESSAGE)
        for step in range(STEPS):
            for client in clients[step::STEPS]:
                client.sendall(question)
            due = start + (step + 1) * STEP_SECONDS
            while (left := due - time.monotonic()) > 0:
                self.listen(left)
        while self.answers < len(clients):
            self.listen(1)

    def listen(self, seconds):
        for fd, _ in self.epoll.poll(seconds):
            client = self.tunnels[fd]
            try:
                while True:
                    self.heard(client, client.recv(65536))
            except (BlockingIOError, ssl.SSLWantReadError):
                pass

    def heard(self, client, data):
        """Frames, which are small and so not cut on loopback."""
        if not data:
            raise SystemExit("a tunnel ended")
        while data:
            first, size = data[:2]
            payload, data = data[2 : 2 + size], data[2 + size :]
            if first == PING:
                client.sendall(frame(PONG, payload))
            elif first == BINARY and payload == MESSAGE:
                self.answers += 1
            else:
                raise SystemExit(f"a tunnel got {first:#x} {payload!r}")


class Backend(multiprocessing.Process):
    """A process that takes connections and echoes."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = self.listener.getsockname()[1]
        self.start()
        self.listener.close()

    def run(self):
        epoll, connections = select.epoll(), {}
        epoll.register(self.listener.fileno(), select.EPOLLIN)
        while True:
            for fd, _ in epoll.poll():
                if fd == self.listener.fileno():
                    connection, _ = self.listener.accept()
                    connections[connection.fileno()] = connection
                    epoll.register(connection.fileno(), select.EPOLLIN)
                elif data := received(connections[fd]):
                    connections[fd].sendall(data)
                else:
                    connections.pop(fd).close()


def received(connection):
    try:
        return connection.recv(65536)
    except ConnectionResetError:
        return b""


def kernel():
    """What the kernel keeps on this machine, the sockets of this network."""
    caches = {}
    try:
        with open("/proc/slabinfo") as slabs:
            for line in list(slabs)[2:]:
                name, active, _, size = line.split()[:4]
                if name in CACHES:
                    caches[name] = int(active), int(size)
    except PermissionError:
        pass
    with open("/proc/meminfo") as memory:
        slab = int(re.search(r"^Slab: *(\d+) kB", memory.read(), re.M)[1]) * 1024
    with open("/proc/net/sockstat") as sockets:
        inuse, pages = re.search(r"^TCP: inuse (\d+).* mem (\d+)", sockets.read(), re.M).groups()
    return Kernel(caches, slab, int(inuse), int(pages))


def descriptors(adit):
    return len(os.listdir(f"/proc/{adit.child.pid}/fd"))


def nanoseconds(adit):
    """Time on a CPU of its loop, up to the last time that it slept."""
    with open(f"/proc/{adit.child.pid}/schedstat") as stat:
        return int(stat.read().split()[0])


def shares(n, most):
    """`n` in equal parts, none above `most`."""
    parts = math.ceil(n / most)
    return [n // parts + (i < n % parts) for i in range(parts)]


class Load:
    """adits with clients and backends, as many as it takes."""

    def __init__(self, binary, tunnels, most, context, options):
        self.tunnels = tunnels
        share_most = min(SHARE, most)
        backends = [Backend() for _ in shares(tunnels, share_most)]
        first, *others = [service.port for service in backends]
        options = [*options, *(f"127.0.0.1:{port}" for port in others)]
        self.adits, self.clients = [], []
        for part in shares(tunnels, most):
            adit = Adit.serving(binary, first, "--drain-timeout=100ms", *options)
            self.adits.append(adit)
            for share in shares(part, share_most):
                source = f"127.0.1.{len(self.clients) + 1}"
                self.clients.append((Clients(adit.address, source, context), share))
        self.processes = [*(client for client, _ in self.clients), *backends]

    def order(self, order, number=lambda share: share):
        """Tells all clients, and waits until they have done it."""
        for client, share in self.clients:
            client.tell(order, number(share))
        for client, _ in self.clients:
            client.done()

    def open(self, number=lambda share: share):
        self.order("open", number)

    def ask(self):
        self.order("ask")

    def sum(self, measure):
        return sum(measure(adit) for adit in self.adits)

    def cpu(self, work):
        """CPU time of the adits meanwhile, in nanoseconds."""
        before = self.sum(nanoseconds)
        work()
        return self.sum(nanoseconds) - before

    def end(self):
        """Clients first, which would complain."""
        for process in self.processes:
            process.kill()
            process.join(PATIENCE)
        for adit in self.adits:
            adit.end()


def idle(load, name):
    """Opens all tunnels, and says what they take; gives how many, and the `Kernel`
    before and after."""
    load.open(lambda _: WARM)
    count = load.tunnels - WARM * len(load.clients)
    heap, rss = load.sum(Adit.anonymous), load.sum(Adit.resident)
    files, before, start = load.sum(descriptors), kernel(), time.monotonic()
    cpu = load.cpu(lambda: load.open(lambda share: share - WARM))
    seconds, after = time.monotonic() - start, kernel()
    row(f"{name}: to open, CPU of adit each", f"{cpu / count / 1000:.0f} us")
    row(f"{name}: to open all, with these clients", f"{seconds:.1f} s")
    row(f"{name}: heap of adit each", kib((load.sum(Adit.anonymous) - heap) / count))
    row(f"{name}: RSS of adit each", kib((load.sum(Adit.resident) - rss) / count))
    row(f"{name}: descriptors of adit each", f"{(load.sum(descriptors) - files) / count:.2f}")
    return count, before, after


def kernels(count, before, after):
    """What the kernel took for both ends and adit between them."""
    sockets = (after.sockets - before.sockets) / count
    row("sockets each, clients and backends too", f"{sockets:.2f}")
    both = 0
    for name, (active, size) in after.caches.items():
        objects = (active - before.caches[name][0]) / count
        if name in ONE_EACH:
            objects = min(objects, sockets)
        both += objects * size
        row(f"  {name} of {size} B each", f"{objects:.2f}")
    if after.caches:
        row("kernel each, clients and backends too", kib(both))
        row("kernel each, adit's half of it", kib(both / 2))
    else:
        row("kernel each", "only root can read")
    row("all slabs of the machine each, as a check", kib((after.slab - before.slab) / count))
    row("buffers of sockets each", f"{(after.pages - before.pages) / count:.2f} pages")


def work(load, name):
    """What the open tunnels take that do nothing, and for a message."""
    time.sleep(SETTLE_SECONDS)
    share = load.cpu(lambda: time.sleep(IDLE_SECONDS)) / 1e9 / IDLE_SECONDS
    row(f"{name}: idle without pings, CPU", f"{100 * share:.3f} %")
    heap = load.sum(Adit.anonymous)
    cpu = load.cpu(load.ask) / load.tunnels
    row(f"{name}: 32 B there and back, CPU of adit", f"{cpu / 1000:.1f} us")
    row(f"{name}: heap each since these messages",
        kib((load.sum(Adit.anonymous) - heap) / load.tunnels))


def pings(load, name):
    """What the pings of the default take: one for each tunnel meanwhile."""
    load.open()
    time.sleep(SETTLE_SECONDS)
    cpu = load.cpu(lambda: time.sleep(PING_SECONDS))
    row(f"{name}: idle, a ping each {PING_SECONDS} s, CPU", f"{cpu / PING_SECONDS / 1e7:.2f} %")
    row(f"{name}: a ping and its pong, CPU of adit", f"{cpu / load.tunnels / 1000:.1f} us")


def gigabytes(binary, name, context, options):
    """What a gigabyte takes, each way."""
    bytes_ = bytes(65536)
    message = frame(BINARY, bytes_)
    count = GIGABYTE // len(bytes_)

    def up(client):
        for _ in range(count):
            client.sendall(message)
        exactly(client, 3)

    def sink(connection):
        buffer, left = bytearray(1 << 20), count * len(bytes_)
        while left:
            left -= connection.recv_into(buffer)
        connection.sendall(b"!")

    def flood(connection):
        for _ in range(count):
            connection.sendall(bytes_)
        connection.recv(1)

    def down(client):
        buffer, left = bytearray(1 << 20), count * len(bytes_)
        while left > 0:
            left -= client.recv_into(buffer)

    for way, handler, drive in (("up", sink, up), ("down", flood, down)):
        adit = Adit.serving(binary, backend(handler), "--drain-timeout=100ms", *options)
        client = tunnel(adit.address, "/", context)
        before = nanoseconds(adit)
        drive(client)
        cpu = nanoseconds(adit) - before
        row(f"{name}: a GB {way} in 64 KiB, CPU of adit", f"{cpu / (count * 65536):.2f} s")
        client.close()
        adit.end()


def arguments():
    parser = argparse.ArgumentParser(description="What many tunnels cost.")
    parser.add_argument("adit", help="the program")
    parser.add_argument("tunnels", type=int, nargs="?", default=10_000)
    options = parser.parse_args()
    if options.tunnels < 100:
        parser.error("at least 100 tunnels are needed")
    return options.adit, options.tunnels


def open_files(wanted):
    """Allows as many open files as are wanted, or as many as may be."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, hard)))
    except (ValueError, PermissionError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        return hard
    return wanted


def main():
    binary, tunnels = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    most = (open_files(2 * tunnels + 2 * RESERVED) - RESERVED) // 2
    row("tunnels", f"{tunnels:,}")
    row("processes of adit, by the limit of open files", len(shares(tunnels, most)))
    with tempfile.TemporaryDirectory() as directory:
        script = os.path.join(os.path.dirname(__file__), "../../scripts/certs.sh")
        subprocess.run([script, directory], check=True, stdout=subprocess.DEVNULL)
        context = ssl.create_default_context(cafile=f"{directory}/ca.pem")
        files = [f"--tls-cert={directory}/cert.pem", f"--tls-key={directory}/key.pem"]
        for name, context, options in (("ws", None, []), ("wss", context, files)):
            load = Load(binary, tunnels, most, context, ["--ping-interval=off", *options])
            seen = idle(load, name)
            if name == "ws":
                kernels(*seen)
            work(load, name)
            load.end()
            load = Load(binary, tunnels, most, context, options)
            pings(load, name)
            load.end()
            gigabytes(binary, name, context, options)


main()
