"""adit under attack or in bad weather: a child whose memory, descriptors and log
are watched, and bystanders, who only want their echo meanwhile."""

import multiprocessing
import os
import re
import resource
import socket
import ssl
import subprocess
import tempfile
import threading
import time

from rig import BINARY, PATIENCE, Adit, exactly, frame, request

PIECE = 32


class Watched(Adit):
    """A running adit with this configuration; `before` is put in front of its
    command line."""

    def __init__(self, binary, configuration, before=()):
        self.file = tempfile.NamedTemporaryFile("w", suffix=".toml")
        self.configure(configuration)
        self.child = subprocess.Popen(
            [*before, binary, "serve", "--config", self.file.name],
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines = []
        self.news = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()

    def configure(self, text):
        """What it reads at the start and at the next reload."""
        self.file.seek(0)
        self.file.truncate()
        self.file.write(text)
        self.file.flush()

    def _listen(self):
        for line in self.child.stderr:
            with self.news:
                self.lines.append(line.rstrip("\n"))
                self.news.notify_all()
        with self.news:
            self.lines.append(None)
            self.news.notify_all()

    def addresses(self, n):
        """Where it listens, as it says at the start."""
        said = [self.wait_for(r"listening on (.*):(\d+)$", n=m) for m in range(n)]
        return [(found[1], int(found[2])) for found in said]

    def wait_for(self, pattern, after=0, n=0):
        """What matches in the nth line with this pattern, from the line `after` on."""

        def found():
            every = (re.search(pattern, line) for line in self.lines[after:] if line)
            matches = [match for match in every if match]
            return matches[n] if len(matches) > n else None

        with self.news:
            self.news.wait_for(lambda: found() or None in self.lines, PATIENCE)
            if match := found():
                return match
            raise SystemExit(f"the log has no line {n} with {pattern!r}:\n" + self.tail())

    def tail(self):
        return "\n".join(line for line in self.lines[-40:] if line)

    def begin_peak(self):
        """Forgets the most memory that was ever in use."""
        with open(f"/proc/{self.child.pid}/clear_refs", "w") as forget:
            forget.write("5")

    def peak(self):
        """The most bytes of memory in use since then."""
        with open(f"/proc/{self.child.pid}/status") as status:
            return int(re.search(r"^VmHWM:\s*(\d+) kB", status.read(), re.M)[1]) * 1024

    def cpu(self):
        """Seconds of CPU time, to the nanosecond (clock_getcpuclockid(3))."""
        return time.clock_gettime(~self.child.pid << 3 | 2)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.child.pid}/fd"))


def many_files():
    """Raises the limit of open files, which children get as well; says what it is."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def connected(address, context=None):
    """A connection without delays, with TLS if there is a context for it."""
    client = socket.create_connection(address, PATIENCE)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(client, server_hostname="localhost") if context else client


def answer(client):
    """The head of the response, or what there is of it."""
    head = b""
    while b"\r\n\r\n" not in head:
        part = client.recv(1)
        if not part:
            break
        head += part
    return head


def opened(address, path, context=None):
    """An open tunnel."""
    client = connected(address, context)
    client.sendall(request(path))
    head = answer(client)
    if not head.startswith(b"HTTP/1.1 101 "):
        raise SystemExit(f"no tunnel: {head!r}")
    return client


def trusting(authority):
    """TLS for a client that believes this authority."""
    return ssl.create_default_context(cafile=authority)


class Bystanders:
    """A process of its own with open tunnels, which echo in turn without a rest."""

    def __init__(self, doors):
        self.ours, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("fork").Process(
            target=self._echo, args=(doors, theirs), daemon=True
        )
        self.process.start()
        theirs.close()
        self.ours.recv()

    def _echo(self, doors, pipe):
        tunnels = [opened(*door) for door in doors]
        pipe.send("here")
        worst = count = 0
        while True:
            for tunnel in tunnels:
                asked = time.monotonic()
                tunnel.sendall(frame(BINARY, bytes(PIECE)))
                exactly(tunnel, 2 + PIECE)
                worst, count = max(worst, time.monotonic() - asked), count + 1
                time.sleep(0.005)
            if pipe.poll():
                if pipe.recv() == "end":
                    return
                pipe.send((worst, count))
                worst = count = 0

    def worst(self):
        """The longest delay since this was last asked, and how many echoes came."""
        self.ours.send("worst")
        if not self.ours.poll(PATIENCE):
            raise SystemExit("a bystander's echo does not come")
        return self.ours.recv()

    def end(self):
        self.ours.send("end")
        self.process.join(PATIENCE)
