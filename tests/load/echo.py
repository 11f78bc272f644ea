"""Opens a tunnel through a program and expects an echo, of a message of each
length that a frame can tell."""

import sys

from rig import BINARY, Adit, backend, binary_from, echo, frame, payload, tunnel

SIZES = [1, 125, 126, 65535, 65536, 1 << 20]


def main():
    options = "--ping-interval=off", "--drain-timeout=100ms"
    adit = Adit.serving(binary_from(sys.argv), backend(echo), *options)
    client = tunnel(adit.address, "/")
    for size in SIZES:
        message = bytes(n * n % 251 for n in range(size))
        client.sendall(frame(BINARY, message))
        if payload(client, size) != message:
            raise SystemExit(f"{size} bytes do not come back as they were")
    print("a tunnel echoes, up to messages of 1 MiB")
    adit.end()


main()
