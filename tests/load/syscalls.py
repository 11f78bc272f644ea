"""Counts adit's system calls under strace: what one message costs, and that one
read gives at most one write."""

import os
import queue
import re
import signal
import sys
import tempfile

from rig import BINARY, PATIENCE, Adit, backend, binary_from, echo, exactly, frame, tunnel

READS = ("read", "readv", "recvfrom", "recvmsg")
WRITES = ("write", "writev", "sendto", "sendmsg")
POLLS = ("epoll_wait", "epoll_pwait", "epoll_pwait2")
TRACED = (*READS, *WRITES, *POLLS, "epoll_ctl", "connect", "accept4", "close")

BURST = 1000
ECHOES = 2000


def traced(binary, routes, drive):
    """Runs `drive(address)` against an adit under strace; gives the calls as
    (name, first argument), in order."""
    with tempfile.NamedTemporaryFile("r") as log:
        strace = ["strace", "-f", "-o", log.name, "-e", "trace=" + ",".join(TRACED)]
        adit = Adit(binary, routes, before=strace)
        drive(adit.address)
        # strace itself takes no signal while it traces: its log says whom to end.
        os.kill(int(log.read(64).split()[0]), signal.SIGTERM)
        adit.child.wait(PATIENCE)
        log.seek(0)
        return re.findall(r"^\d+ +(\w+)\((\d+)", log.read(), re.M)


def burst(binary):
    """Writes to the backend for many small messages in one segment."""
    heard = queue.Queue()
    port = backend(lambda connection: heard.put(exactly(connection, 8 * BURST)))

    def drive(address):
        client = tunnel(address, "/")
        client.sendall(frame(BINARY, b"8 bytes!") * BURST)
        assert heard.get() == b"8 bytes!" * BURST
        client.close()

    calls = traced(binary, {"/": port}, drive)
    (connected,) = (fd for name, fd in calls if name == "connect")
    return sum(name in WRITES and fd == connected for name, fd in calls)


def steady(binary):
    """Calls per message while one tunnel echoes: those of twice as many
    messages less those of the half, so opening and ending do not count."""

    def count(messages):
        def drive(address):
            client = tunnel(address, "/")
            for _ in range(messages):
                client.sendall(frame(BINARY, bytes(32)))
                exactly(client, 34)
            client.close()

        names = [name for name, _ in traced(binary, {"/": backend(echo)}, drive)]
        groups = {"reads": READS, "writes": WRITES, "epoll_wait": POLLS, "epoll_ctl": ("epoll_ctl",)}
        return {group: sum(map(names.count, members)) for group, members in groups.items()}

    half, whole = count(ECHOES), count(2 * ECHOES)
    return {group: (whole[group] - half[group]) / ECHOES for group in whole}


def main():
    binary = binary_from(sys.argv)
    writes = burst(binary)
    print(f"{BURST} messages of 8 bytes in one segment: {writes} write(s) to the backend")
    print("echo of one message of 32 bytes, steady state:")
    for group, number in steady(binary).items():
        print(f"  {group:<12}{number:6.2f}")
    if writes != 1:
        raise SystemExit(f"adit: {writes} writes where one is allowed")


main()
