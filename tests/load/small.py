"""Measures what a small machine asks: memory after the start, and what 100 idle
tunnels add. Needs nothing of the program but `serve`; a line for each figure:
name, bytes, budget."""

import sys

from rig import BINARY, Adit, backend, binary_from, echo, exactly, frame, tunnel

TUNNELS = 100
START_LIMIT = 2_500_000
IDLE_LIMIT = 100 * 1024


def say(what, value, limit):
    print(what.replace(" ", "_"), value, limit)


def main():
    binary = binary_from(sys.argv)
    adit = Adit.serving(binary, backend(echo), "--ping-interval=off", "--drain-timeout=100ms")
    say("resident after the start", adit.resident(), START_LIMIT)
    first = tunnel(adit.address, "/")
    first.sendall(frame(BINARY, b"so small"))
    if exactly(first, 10) != b"\x82\x08so small":
        raise SystemExit("the tunnel does not echo")
    before = adit.anonymous()
    tunnels = [tunnel(adit.address, "/") for _ in range(TUNNELS)]
    say(f"added by {len(tunnels)} idle tunnels", adit.anonymous() - before, IDLE_LIMIT)
    adit.end()


main()
