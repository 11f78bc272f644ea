"""Clients and backends that mean harm: what each of them costs, and whether others
get their echo meanwhile. Prints the table of README.md.

The run fails if an attack takes more memory than is promised for what it opened,
if adit does not answer it as it should or logs an error, if a bystander gets no
echo, or if adit goes on working once the attacker is quiet. None of that is about
how fast the machine is.
"""

import itertools
import multiprocessing
import os
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

from rig import BINARY, CLOSE, PATIENCE, backend, binary_from, echo, exactly, frame, request
from watched import Bystanders, Watched, answer, connected, many_files, opened, trusting

KIB, MIB = 1024, 1024 * 1024

# What the process may take for its own reasons: pages of code that are touched
# for the first time, free memory that is not given back.
SLACK = 2 * MIB
# A request head that is not whole, a handshake that is not over (README, "Limits
# and memory"), and what waits for a side that does not read.
HEAD, HANDSHAKE, QUEUE = 20 * KIB, 32 * KIB, 256 * KIB
MESSAGE = 1 * MIB

TEXT, CONTINUED, FIN, PING = 0x81, 0x00, 0x80, 0x89
HALF_OPEN = 2000

FRAMINGS = ("raw", "lines", "json", "length-u32", "record")


def quiet(handler):
    """A handler that takes it when the other side leaves."""

    def handle(connection):
        with connection:
            try:
                handler(connection)
            except OSError:
                pass

    return handle


def flood(connection):
    """Much, and never the end of a line."""
    while True:
        connection.sendall(bytes(64 * KIB))


def abyss(connection):
    """JSON that goes deeper than anybody wants to follow."""
    connection.sendall(b"[" * 64 * MIB)
    connection.recv(1)


def claim(connection):
    """Announces 4 GiB to whoever speaks first."""
    connection.recv(1)
    connection.sendall(b"\xff\xff\xff\xff")
    connection.recv(1)


def services():
    """The backends, in a process of their own; their ports by name."""
    ours, theirs = multiprocessing.Pipe()

    def serve():
        handlers = (echo, flood, abyss, claim)
        theirs.send({handler.__name__: backend(quiet(handler)) for handler in handlers})
        theirs.recv()

    multiprocessing.get_context("fork").Process(target=serve, daemon=True).start()
    return ours.recv(), ours


def configuration(ports, directory):
    routes = [("/bystander", "raw", "echo"), ("/flood", "raw", "flood")]
    routes += [("/endless", "lines", "flood"), ("/abyss", "json", "abyss")]
    routes += [("/claim", "length-u32", "claim")]
    routes += [(f"/{framing}", framing, "echo") for framing in FRAMINGS]
    listeners = f"""
        [[listen]]
        address = "127.0.0.1:0"
        [[listen]]
        address = "127.0.0.2:0"
        tls-cert = "{directory}/cert.pem"
        tls-key = "{directory}/key.pem"
    """
    return listeners + "".join(
        f'[[route]]\npath = "{path}"\nframing = "{framing}"\n'
        f'backend = "127.0.0.1:{ports[name]}"\n'
        for path, framing, name in routes
    )


class Target:
    """What an attack aims at."""

    def __init__(self, adit, context):
        self.adit = adit
        self.plain, self.tls = adit.addresses(2)
        self.context = context
        self.held = []

    def hold(self, client):
        """Keeps a connection until the attack was measured."""
        self.held.append(client)
        return client

    def tunnel(self, path):
        return self.hold(opened(self.plain, path))


class Failed(Exception):
    """An attack did not go as it should."""


def expect(what, seen, wanted):
    if seen != wanted:
        raise Failed(f"{what}: {seen!r} instead of {wanted!r}")


def received(client):
    """The first byte and the payload of the next frame."""
    first, length = exactly(client, 2)
    if length == 126:
        (length,) = struct.unpack("!H", exactly(client, 2))
    elif length == 127:
        (length,) = struct.unpack("!Q", exactly(client, 8))
    return first, exactly(client, length)


def payload(client, n):
    """The payload of the next frames, as many as make `n` bytes."""
    heard = b""
    while len(heard) < n:
        heard += received(client)[1]
    return heard


def close_code(client):
    """The code of the Close that comes, whatever comes before it."""
    while True:
        first, said = received(client)
        if first == CLOSE:
            return int.from_bytes(said[:2], "big")


def status(client):
    return int((answer(client).split(b" ") + [b"0"])[1])


def is_over(client):
    """Whether the connection is closed, within what any timeout is."""
    try:
        return not client.recv(1)
    except ConnectionResetError:
        return True


def hello():
    """The first bytes of a TLS client."""
    outgoing = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(
        ssl.MemoryBIO(), outgoing, server_hostname="localhost"
    )
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()


def half_open(target, address, beginning):
    """Clients that begin and say no more."""
    crowd = [target.hold(connected(address)) for _ in range(HALF_OPEN)]
    for client in crowd:
        client.sendall(beginning)
    until = time.monotonic() + PATIENCE
    while (there := target.adit.descriptors()) < HALF_OPEN:
        if time.monotonic() > until:
            raise Failed(f"{there} descriptors, with {HALF_OPEN} clients that are to be there")
        time.sleep(0.1)
    yield
    return crowd


def half_heads(target):
    crowd = yield from half_open(target, target.plain, request("/raw")[:-4] + b"\r\nX: " + b"x" * 16000)
    expect("answers", {status(client) for client in crowd}, {408})
    return "408 after `handshake-timeout`"


def half_hellos(target):
    crowd = yield from half_open(target, target.tls, hello()[:-1])
    expect("closed", {is_over(client) for client in crowd}, {True})
    return "closed after `handshake-timeout`"


def hellos(target):
    crowd = yield from half_open(target, target.tls, hello())

    def ends(client):
        while client.recv(64 * KIB):
            pass

    for client in crowd:
        ends(client)
    return "closed after `handshake-timeout`"


def byte_by_byte(target):
    crowd = [target.hold(connected(target.plain)) for _ in range(200)]
    for byte in request("/raw")[:12]:
        for client in crowd:
            try:
                client.sendall(bytes([byte]))
            except ConnectionError:
                pass
        time.sleep(1)
    yield
    expect("answers", {status(client) for client in crowd}, {408})
    return "408 after `handshake-timeout`"


def frames_byte_by_byte(target):
    crowd = [target.tunnel("/record") for _ in range(200)]
    message = frame(TEXT, b"slow")
    for byte in message:
        for client in crowd:
            client.sendall(bytes([byte]))
        time.sleep(1)
    for client in crowd:
        expect("echo", payload(client, 4), b"slow")
    yield
    return "echoed"


def huge_frames(target):
    most = struct.pack("!BBQ", BINARY, 255, 2**63) + bytes(4)
    below = struct.pack("!BBQ", BINARY, 255, 2**63 - 1) + bytes(4)
    crowd = []
    for framing, _ in itertools.product(FRAMINGS, range(20)):
        crowd.append(target.tunnel(f"/{framing}"))
        crowd[-1].sendall(most)
    expect("codes", {close_code(client) for client in crowd}, {1002})
    crowd = [target.tunnel("/length-u32") for _ in range(100)]
    for client in crowd:
        client.sendall(below + b"x" * 100)
    expect("codes", {close_code(client) for client in crowd}, {1009})
    # What there is of the others comes back at once: nobody waits for the rest.
    beginning = b'"' + b"x" * 99
    for framing, _ in itertools.product(("raw", "lines", "json"), range(30)):
        client = target.tunnel(f"/{framing}")
        client.sendall(below + beginning)
        expect(f"echo over {framing}", payload(client, len(beginning)), beginning)
    yield
    return "1002; 2^63 - 1 bytes stream, or 1009"


def fragments(target):
    for framing in ("raw", "lines", "length-u32", "record"):
        client = target.tunnel(f"/{framing}")
        one = frame(CONTINUED, b"x")
        whole = frame(0x01, b"x") + one * 65534 + frame(FIN, b"x")
        threading.Thread(target=client.sendall, args=(whole,), daemon=True).start()
        expect("echo", payload(client, 65536), b"x" * 65536)
    yield
    return "echoed"


def empty_fragments(target):
    client = target.tunnel("/length-u32")
    client.sendall(frame(0x02, b"x"))
    client.sendall(frame(CONTINUED, b"") * 1_000_000)
    client.sendall(frame(FIN, b"y"))
    expect("echo", exactly(client, 4), b"\x82\x02xy")
    yield
    return "echoed"


def pings(target):
    crowd = [target.tunnel("/raw") for _ in range(10)]
    many = frame(PING, bytes(125)) * 1000

    def send(client):
        for _ in range(100):
            client.sendall(many)
        client.sendall(frame(PING, b"newest"))

    threads = [threading.Thread(target=send, args=(client,), daemon=True) for client in crowd]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        expect("some are not taken", thread.is_alive(), False)
    yield
    for client in crowd:
        while payload(client, 1) != b"newest":
            pass
    return "the newest is answered"


def tiny(target):
    n = 1_000_000
    client = target.tunnel("/lines")
    bytes_ = frame(TEXT, b"x") * n
    threading.Thread(target=client.sendall, args=(bytes_,), daemon=True).start()
    expect("echoes", exactly(client, 3 * n), b"\x81\x01x" * n)
    yield
    return "echoed"


def deep_json(target):
    deep = b"[" * 10_000 + b"]" * 10_000
    client = target.tunnel("/json")
    for _ in range(100):
        client.sendall(frame(TEXT, deep))
        expect("echo", payload(client, len(deep)), deep)
    yield
    return "echoed"


def deepest_json(target):
    crowd = [target.tunnel("/abyss") for _ in range(5)]
    expect("codes", {close_code(client) for client in crowd}, {1011})
    yield
    return "1011 at a depth of `max-message`"


def endless_lines(target):
    client = target.tunnel("/endless")
    for _ in range(256):
        exactly(client, MIB)
    yield
    return "256 MiB streamed, as fragments"


def endless_messages(target):
    crowd = [target.tunnel("/length-u32") for _ in range(20)]
    part = frame(CONTINUED, bytes(60 * KIB))
    for client in crowd:
        client.sendall(frame(0x02, b"x"))
    for client, _ in itertools.product(crowd, range(17)):
        client.sendall(part)
    yield
    for client in crowd:
        client.sendall(part)
    expect("codes", {close_code(client) for client in crowd}, {1009})
    return "1009 beyond `max-message`"


def claims(target):
    crowd = [target.tunnel("/claim") for _ in range(100)]
    for client in crowd:
        client.sendall(frame(TEXT, b"?"))
    expect("codes", {close_code(client) for client in crowd}, {1011})
    yield
    return "1011"


def large_heads(target):
    crowd = [target.hold(connected(target.plain)) for _ in range(200)]
    for n, client in enumerate(crowd):
        more = b"X: " + b"x" * MIB if n % 2 else b"X: y\r\n" * 10_000
        threading.Thread(target=quietly_send, args=(client, request("/raw")[:-2] + more)).start()
    expect("answers", {status(client) for client in crowd}, {431})
    yield
    return "431"


def quietly_send(client, bytes_):
    try:
        client.sendall(bytes_)
    except OSError:
        pass


def never_read(target):
    crowd = [target.tunnel("/flood") for _ in range(200)]
    time.sleep(2)
    yield
    for client in crowd:
        exactly(client, MIB)
    return "flows again once it is read"


def churn(target):
    reset = struct.pack("ii", 1, 0)
    for n in range(5000):
        client = connected(target.plain)
        client.sendall(request("/raw")[: n % 200])
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        client.close()
    yield
    return "forgotten"


# What is shown, what it does, and the memory that it may take beside SLACK.
ATTACKS = [
    (f"{HALF_OPEN:,} request heads of 16 kB that never end", half_heads, HALF_OPEN * HEAD),
    (f"{HALF_OPEN:,} TLS hellos that never end", half_hellos, HALF_OPEN * HEAD),
    (f"{HALF_OPEN:,} TLS handshakes that never go on", hellos, HALF_OPEN * HANDSHAKE),
    ("200 requests, a byte a second", byte_by_byte, 200 * HEAD),
    ("200 tunnels, a byte of a frame a second", frames_byte_by_byte, 200 * KIB),
    ("290 frames that claim 2^63 bytes or one less", huge_frames, 300 * 4 * KIB),
    ("65,536 fragments in a message", fragments, MESSAGE),
    ("a million empty fragments", empty_fragments, MESSAGE),
    ("a million pings, whose pongs are never read", pings, 10 * QUEUE),
    ("a million messages of 1 byte", tiny, QUEUE),
    ("100 JSON texts, 10,000 deep", deep_json, QUEUE),
    ("JSON, 64 million deep, from 5 backends", deepest_json, 5 * MESSAGE),
    ("a line without an end from a backend", endless_lines, QUEUE),
    ("20 fragmented messages without an end, `length-u32`", endless_messages, 20 * 2 * MESSAGE),
    ("100 backends that announce 4 GiB", claims, 100 * 4 * KIB),
    ("200 heads of 1 MiB or 10,000 headers", large_heads, 200 * HEAD),
    ("200 floods that are never read", never_read, 200 * QUEUE),
    ("5,000 connections, reset at any byte", churn, 0),
]


def measured(adit, memory, cpu):
    """Memory and processor time since then; a second is waited, in which the
    attackers are quiet, so that all is counted that they have caused."""
    began, before = time.monotonic(), adit.cpu()
    time.sleep(1)
    busy = (adit.cpu() - before) / (time.monotonic() - began)
    return adit.peak() - memory, adit.cpu() - cpu, busy


def attacked(adit, context, attack):
    """What an attack costs, as (memory, processor time, worst echo, outcome),
    and what was wrong with it."""
    target = Target(adit, context)
    doors = [(target.plain, "/bystander"), (target.tls, "/bystander", context)]
    bystanders = Bystanders(doors)
    bystanders.worst()
    adit.begin_peak()
    start = adit.resident(), adit.cpu()
    steps, outcome, faults, cost = attack(target), "**failed**", [], None
    try:
        next(steps)
        cost = measured(adit, *start)
        next(steps)
    except StopIteration as end:
        outcome = end.value
    except (Failed, SystemExit, OSError) as fault:
        faults.append(str(fault))
    added, spent, busy = cost or measured(adit, *start)
    # With bystanders it is never quite at rest.
    if busy > 0.5:
        faults.append(f"{busy:.0%} of a processor while the attackers are quiet")
    try:
        worst, echoes = bystanders.worst()
        if not echoes:
            faults.append("no echo")
        bystanders.end()
    except SystemExit as silent:
        faults.append(str(silent))
        worst = PATIENCE
    for client in target.held:
        client.close()
    adit.end()
    if adit.child.returncode:
        faults.append(f"adit ended with {adit.child.returncode}")
    faults += [line for line in adit.lines if line and " ERROR " in line]
    return (added, spent, worst, outcome), faults


def main():
    binary = binary_from(sys.argv)
    if many_files() < 3 * HALF_OPEN:
        raise SystemExit(f"hostile: needs {3 * HALF_OPEN} open files (ulimit -n)")
    ports, _here = services()
    failures = []
    with tempfile.TemporaryDirectory() as directory:
        script = os.path.join(os.path.dirname(__file__), "../../scripts/certs.sh")
        subprocess.run([script, directory], check=True, stdout=subprocess.DEVNULL)
        context = trusting(f"{directory}/ca.pem")
        print("| attack | memory added | allowed | CPU | worst echo of others | outcome |")
        print("|---|---|---|---|---|---|")
        for name, attack, bound in ATTACKS:
            adit = Watched(binary, configuration(ports, directory))
            (added, spent, worst, outcome), faults = attacked(adit, context, attack)
            bound += SLACK
            if added > bound:
                faults.append(f"{added / MIB:.1f} MiB where {bound / MIB:.1f} are allowed")
            failures += [f"{name}: {fault}" for fault in faults]
            print(
                f"| {name} | {added / MIB:.1f} MiB | {bound / MIB:.1f} MiB | {spent:.2f} s "
                f"| {1000 * worst:.0f} ms | {outcome} |",
                flush=True,
            )
    if failures:
        raise SystemExit("\n".join(f"hostile: {failure}" for failure in failures))


main()
