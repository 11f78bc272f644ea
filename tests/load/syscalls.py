"""Counts adit's system calls under strace: what one small message costs there and
back, and that what one read holds gives one write. Fails where more are made
than is promised. All calls are traced and counted, so none is saved by making
another in its place."""

import os
import re
import signal
import ssl
import subprocess
import sys
import tempfile

from rig import BINARY, PATIENCE, Adit, backend, binary_from, exactly, frame, payload, tunnel

READS = ("read", "readv", "recvfrom", "recvmsg")
WRITES = ("write", "writev", "sendto", "sendmsg")
POLLS = ("epoll_wait", "epoll_pwait", "epoll_pwait2")
GROUPS = {"reads": READS, "writes": WRITES, "epoll_wait": POLLS, "epoll_ctl": ("epoll_ctl",)}
KNOWN = [name for members in GROUPS.values() for name in members]

# What a message may cost while one tunnel echoes, which wakes the loop twice.
LIMITS = {"reads": 2, "writes": 2, "epoll_wait": 2, "epoll_ctl": 0, "others": 0}

BURST = 1000
LINE = b"7 bytes\n"
ECHOES = 1000
BURSTS = 100

# Name, wss, tls: backend, framing. A line's end lies on the backend's side only.
MODES = (
    ("ws, raw", False, False, "raw"),
    ("ws, lines", False, False, "lines"),
    ("wss, raw", True, False, "raw"),
    ("wss, lines", True, False, "lines"),
    ("ws, raw, tls: backend", False, True, "raw"),
    ("wss, lines, tls: backend", True, True, "lines"),
)


def answering(want, answer):
    """A backend that gives `answer` for each `want` bytes."""

    def serve(connection):
        try:
            while True:
                exactly(connection, want)
                connection.sendall(answer)
        except SystemExit:
            pass

    return serve


class Mode:
    """A way through adit; counts what its messages cost."""

    def __init__(self, binary, directory, wss, tls_backend, framing):
        self.binary, self.framing = binary, framing
        self.listen = f'tls-cert = "{directory}/cert.pem"\ntls-key = "{directory}/key.pem"\n'
        self.listen = self.listen if wss else ""
        self.route = f'framing = "{framing}"\nframe-type = "binary"\n'
        self.client = self.server = None
        self.scheme = ""
        if wss:
            self.client = ssl.create_default_context(cafile=f"{directory}/ca.pem")
        if tls_backend:
            self.scheme = "tls:"
            self.route += f'backend-ca = "{directory}/ca.pem"\n'
            self.server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self.server.load_cert_chain(f"{directory}/cert.pem", f"{directory}/key.pem")

    def message(self, line):
        """What a client sends and hears of a line."""
        return line[:-1] if self.framing == "lines" else line

    def traced(self, handler, drive):
        """The calls of a run, in order, as their name and the descriptor that they
        are about: of splice that where the bytes go."""
        with tempfile.NamedTemporaryFile("r") as log:
            strace = ["strace", "-f", "-o", log.name]
            port = backend(handler, self.server)
            options = {"listen": self.listen, "route": self.route, "scheme": self.scheme}
            adit = Adit(self.binary, {"/": port}, before=strace, **options)
            client = tunnel(adit.address, "/", self.client)
            drive(client)
            client.close()
            # strace itself takes no signal while it traces: its child has to end.
            with open(f"/proc/{adit.child.pid}/task/{adit.child.pid}/children") as children:
                os.kill(int(children.read().split()[0]), signal.SIGTERM)
            adit.child.wait(PATIENCE)
            log.seek(0)
            return re.findall(r"^\d+ +(\w+)\((?:(?<=splice\()\d+, NULL, )?(\d*)", log.read(), re.M)

    def each(self, turns, handler, lines_up, lines_down, count):
        """What one turn costs: that of twice as many less that of the half, so
        opening and ending do not count. In a turn the client sends messages in
        one segment and hears the answer's."""
        sent = frame(BINARY, self.message(LINE)) * lines_up
        heard = self.message(LINE) * lines_down

        def counted(turns):
            def drive(client):
                for _ in range(turns):
                    client.sendall(sent)
                    assert payload(client, len(heard)) == heard

            return count(self.traced(handler, drive))

        half, whole = counted(turns), counted(2 * turns)
        return {what: (whole[what] - half[what]) / turns for what in whole}

    def echo(self):
        def count(calls):
            names = [name for name, _ in calls]
            counts = {group: sum(map(names.count, members)) for group, members in GROUPS.items()}
            return counts | {"others": sum(name not in KNOWN for name in names)}

        return self.each(ECHOES, answering(len(LINE), LINE), 1, 1, count)

    def burst(self, up):
        """Writes towards the side that gets many messages at once."""

        def count(calls):
            (connected,) = (fd for name, fd in calls if name == "connect")
            writes = [fd for name, fd in calls if name in (*WRITES, "splice")]
            return {"writes": sum((fd == connected) == up for fd in writes)}

        lines_up, lines_down = (BURST, 1) if up else (1, BURST)
        handler = answering(len(LINE) * lines_up, LINE * lines_down)
        return self.each(BURSTS, handler, lines_up, lines_down, count)["writes"]


def main():
    binary = binary_from(sys.argv)
    failures = []
    groups = "".join(f"{group:>11}" for group in LIMITS)
    print(f"{'':<26}{f'calls for an echo of {len(LINE)} bytes':^55}   writes for {BURST} at once")
    print(f"{'':<26}{groups}{'up':>14}{'down':>11}")
    with tempfile.TemporaryDirectory() as directory:
        script = os.path.join(os.path.dirname(__file__), "../../scripts/certs.sh")
        subprocess.run([script, directory], check=True, stdout=subprocess.DEVNULL)
        for name, *terms in MODES:
            mode = Mode(binary, directory, *terms)
            calls = mode.echo()
            bursts = {"up": mode.burst(True), "down": mode.burst(False)}
            shown = "".join(f"{number:11.2f}" for number in calls.values())
            print(f"{name:<26}{shown}{bursts['up']:14.2f}{bursts['down']:11.2f}", flush=True)
            # A turn that the kernel cut in two is no failure.
            failures += [f"{name}: {number:.2f} {group}, {LIMITS[group]} promised"
                         for group, number in calls.items() if number > LIMITS[group] + 0.05]
            failures += [f"{name}: {number:.2f} writes {way} for {BURST} messages, 1 promised"
                         for way, number in bursts.items() if number > 1.05]
    if failures:
        raise SystemExit("adit: too many calls: " + "; ".join(failures))


main()
