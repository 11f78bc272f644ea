"""Measures what a small machine asks: memory after the start, and what 100 idle
tunnels add. Needs nothing of the program but `serve`; a line for each figure:
name, bytes, budget."""

import sys

from rig import BINARY, Adit, backend, binary_from, echo, exactly, frame, tunnel

TUNNELS = 100
STARTS = 3
START_LIMIT = 2_500_000
IDLE_LIMIT = 100 * 1024


def say(what, value, limit):
    print(what.replace(" ", "_"), value, limit)


def started(binary, port):
    return Adit.serving(binary, port, "--ping-interval=off", "--drain-timeout=100ms")


def least(binary, port):
    """The least of some starts: most of what is resident is the file, and the
    kernel maps more or less of it around what is read, as it lies in its cache."""
    resident = []
    for _ in range(STARTS):
        adit = started(binary, port)
        resident.append(adit.resident())
        adit.end()
    return min(resident)


def main():
    binary = binary_from(sys.argv)
    port = backend(echo)
    say("resident after the start", least(binary, port), START_LIMIT)
    adit = started(binary, port)
    first = tunnel(adit.address, "/")
    first.sendall(frame(BINARY, b"so small"))
    if exactly(first, 10) != b"\x82\x08so small":
        raise SystemExit("the tunnel does not echo")
    before = adit.anonymous()
    tunnels = [tunnel(adit.address, "/") for _ in range(TUNNELS)]
    say(f"added by {len(tunnels)} idle tunnels", adit.anonymous() - before, IDLE_LIMIT)
    adit.end()


main()
