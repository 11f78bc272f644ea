"""10,000 clients while one adit takes over from another: see scripts/upgrade.sh.

Each client connects, asks for a tunnel, gets its message back, and closes. While
they come, a new process is started on the same port and the old one is told to
stop, several times over. Nobody may notice.
"""

import base64
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time

ADIT, BACKEND_PORT, PORT = sys.argv[1], 5900, 8080
CLIENTS, AT_A_TIME, UPGRADES = 10_000, 64, 10
PATIENCE = 30


def serve_echo():
    listener = socket.create_server(("127.0.0.1", BACKEND_PORT), backlog=1024)
    listener.setblocking(False)
    watch = selectors.DefaultSelector()
    watch.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in watch.select():
            if key.fileobj is listener:
                client, _ = listener.accept()
                watch.register(client, selectors.EVENT_READ)
                continue
            try:
                data = key.fileobj.recv(65536)
            except OSError:
                data = b""
            if data:
                key.fileobj.sendall(data)
            else:
                watch.unregister(key.fileobj)
                key.fileobj.close()


def start():
    command = [ADIT, "serve", f"127.0.0.1:{PORT}", f"127.0.0.1:{BACKEND_PORT}", "--reuse-port"]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in child.stderr:
        if "listening on" in line:
            # Nobody may wait for room in the pipe.
            threading.Thread(target=child.stderr.read, daemon=True).start()
            return child
    raise SystemExit(f"adit did not start: {child.wait()}")


class Clients:
    def __init__(self):
        self.lock = threading.Lock()
        self.begun = 0
        self.times, self.failures = [], []

    def work(self):
        while True:
            with self.lock:
                if self.begun == CLIENTS:
                    return
                self.begun += 1
                number = self.begun
            before = time.monotonic()
            try:
                visit(b"%07d" % number)
                self.times.append(time.monotonic() - before)
            except (OSError, AssertionError) as e:
                self.failures.append(f"client {number}: {type(e).__name__}: {e}")


def visit(word):
    key = base64.b64encode(os.urandom(16)).decode()
    request = (
        f"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", PORT), timeout=PATIENCE) as client:
        client.sendall(request.encode())
        stream = client.makefile("rb")
        status = stream.readline()
        assert status.startswith(b"HTTP/1.1 101 "), status
        while stream.readline().strip():
            pass
        # A message and a close with 1000, masked with zeroes.
        client.sendall(bytes([0x82, 0x80 | len(word), 0, 0, 0, 0]) + word)
        answer = stream.read(2 + len(word))
        assert answer == bytes([0x82, len(word)]) + word, answer
        client.sendall(bytes([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8]))
        assert stream.read(4) == bytes([0x88, 2, 0x03, 0xE8])


def main():
    threading.Thread(target=serve_echo, daemon=True).start()
    clients = Clients()
    now = start()
    workers = [threading.Thread(target=clients.work) for _ in range(AT_A_TIME)]
    for worker in workers:
        worker.start()
    codes = []
    for upgrade in range(UPGRADES):
        while clients.begun < CLIENTS * (upgrade + 1) // (UPGRADES + 1):
            time.sleep(0.001)
        old, now = now, start()
        old.send_signal(signal.SIGTERM)
        codes.append(old.wait(PATIENCE))
    for worker in workers:
        worker.join()
    now.terminate()
    codes.append(now.wait(PATIENCE))
    times = sorted(clients.times)
    print(f"{CLIENTS} clients, {AT_A_TIME} at a time, over {UPGRADES} upgrades: "
          f"{len(clients.failures)} failed; median {times[len(times) // 2] * 1000:.1f} ms, "
          f"longest {times[-1] * 1000:.0f} ms")
    for failure in clients.failures[:20]:
        print(failure)
    if any(codes):
        print(f"exit codes {codes}")
    sys.exit(bool(clients.failures or any(codes)))


main()
