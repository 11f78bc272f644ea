"""What a start under inetd costs: CPU from the start to the 101, and memory.

Each run starts adit as inetd does with `nowait`: a connection that is there is
its standard input, output and error. The CPU time is the process's own, with
what the kernel does for it, and begins before exec. Memory is the most that was
resident until then. Both are medians.
"""

import os
import re
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile

from rig import PATIENCE, backend, echo, request

RUNS = 100
SCRIPTS = os.path.join(os.path.dirname(__file__), "../../scripts")


def cpu(pid):
    """Nanoseconds on a CPU, up to the last time that it slept."""
    with open(f"/proc/{pid}/schedstat") as stat:
        return int(stat.read().split()[0])


def most_resident(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"^VmHWM:\s*(\d+) kB", status.read(), re.M)[1]) * 1024


def asleep(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] == "S"


def start(command, tls):
    """Starts adit for one client; gives its CPU time and memory at the 101."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname(), PATIENCE)
        end, _ = listener.accept()
    with subprocess.Popen(command, stdin=end, stdout=end, stderr=end) as child:
        end.close()
        with tls.wrap_socket(client, server_hostname="localhost") if tls else client as client:
            client.sendall(request("/"))
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += client.recv(1) or sys.exit(f"{command}: {head}")
            if not head.startswith(b"HTTP/1.1 101 "):
                raise SystemExit(f"{' '.join(command)}: {head}")
            while not asleep(child.pid):
                os.sched_yield()
            cost = cpu(child.pid), most_resident(child.pid)
            child.kill()
    return cost


def main():
    binary, most_ms, most_mb = os.path.realpath(sys.argv[1]), *map(float, sys.argv[2:])
    exceeded = False
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([f"{SCRIPTS}/certs.sh", folder], check=True, capture_output=True)
        tls = ssl.create_default_context(cafile=f"{folder}/ca.pem")
        files = ["--tls-cert", f"{folder}/cert.pem", "--tls-key", f"{folder}/key.pem"]
        service = f"127.0.0.1:{backend(echo)}"
        print(f"{'start under inetd':18} {'CPU ms':>7} {'resident MB':>12}")
        for name, options, client in [("ws", [], None), ("wss, handshake too", files, tls)]:
            command = [binary, "inetd", service, "-q", *options]
            times, sizes = zip(*(start(command, client) for _ in range(RUNS)))
            ms, mb = statistics.median(times) / 1e6, statistics.median(sizes) / 1e6
            print(f"{name:18} {ms:7.2f} {mb:12.2f}", flush=True)
            # A handshake's price is the client's choice, not the start's.
            exceeded |= client is None and (ms > most_ms or mb > most_mb)
        print(f"{'most for ws':18} {most_ms:7.2f} {most_mb:12.2f}")
    sys.exit("exceeded" if exceeded else 0)


main()
