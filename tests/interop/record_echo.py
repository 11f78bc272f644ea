"""Answers every record with itself.

A record is one byte of FIN bit and opcode, four bytes of length, big-endian,
and as many bytes of payload. Each goes back in one write, so that the tunnel
in front has all of a frame in few reads.
"""

import socket
import struct
import threading

HEAD = struct.Struct("!BI")
MAX_PAYLOAD = 64 << 20


def fill(connection, view):
    """Reads until the view is full; says whether it is."""
    while view:
        count = connection.recv_into(view)
        if count == 0:
            return False
        view = view[count:]
    return True


def echo(connection):
    head = bytearray(HEAD.size)
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while fill(connection, memoryview(head)):
            _, length = HEAD.unpack(head)
            if length > MAX_PAYLOAD:
                raise ValueError(f"record of {length} bytes exceeds {MAX_PAYLOAD}")
            record = head + bytearray(length)
            if not fill(connection, memoryview(record)[HEAD.size:]):
                return
            connection.sendall(record)


def serve(connection):
    try:
        echo(connection)
    except ConnectionError:
        pass  # A peer that is gone is the normal end of many cases.


def main():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print("listening on 127.0.0.1:%d" % listener.getsockname()[1], flush=True)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection,), daemon=True).start()


main()
