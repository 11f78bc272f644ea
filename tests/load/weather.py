"""Networks of a round's own, and the weather on the links between them.

adit is in the network of this process; the client's and the backend's are those of
two sleeping processes, and vanish with them. A link is a pair of Ethernet devices
with the kernel's netem at both ends, or, where the kernel was built without it, a
pair of TUN devices with a program between them that does the same to each packet.
"""

import dataclasses
import fcntl
import heapq
import multiprocessing
import os
import random
import select
import struct
import subprocess
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000


@dataclasses.dataclass
class Weather:
    """What happens to packets; those whose delays differ overtake each other."""

    name: str
    delay: float = 0
    jitter: float = 0
    loss: float = 0
    double: float = 0


CALM = Weather("calm")
ALL = [
    Weather("far", delay=40),
    Weather("lossy", delay=5, loss=3),
    Weather("unruly", delay=10, jitter=9, loss=0.5, double=1),
    CALM,
    Weather("very lossy", delay=1, loss=10),
    Weather("gone", loss=100),
]


def run(*command, within=None, quiet=False):
    """A command, in the network of the process `within` if there is one."""
    inside = ("nsenter", "-t", str(within), "-n") if within else ()
    subprocess.run([*inside, *command], check=True, stdout=subprocess.DEVNULL if quiet else None)


def networks(n):
    """Processes that each sleep in a network of their own."""
    holders = []
    for _ in range(n):
        holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec sleep infinity"],
                                  stdout=subprocess.PIPE)
        holder.stdout.readline()
        run("ip", "link", "set", "lo", "up", within=holder.pid)
        holders.append(holder)
    return holders


def has_netem():
    tried = subprocess.run(["tc", "qdisc", "add", "dev", "lo", "root", "netem"], stderr=subprocess.DEVNULL)
    if tried.returncode == 0:
        run("tc", "qdisc", "del", "dev", "lo", "root")
    return tried.returncode == 0


def set_up(near, far, place, number):
    """Addresses 10.77.NUMBER.1 here and 10.77.NUMBER.2 there, and ways beyond."""
    run("ip", "address", "add", f"10.77.{number}.1/24", "dev", near)
    run("ip", "link", "set", near, "up")
    run("ip", "address", "add", f"10.77.{number}.2/24", "dev", far, within=place)
    run("ip", "link", "set", far, "up", within=place)


class Netem:
    """Links whose weather is the kernel's."""

    NAME = "netem"

    def __init__(self, places):
        self.ends = []
        for number, place in enumerate(places):
            near, far = f"near{number}", f"far{number}"
            peer = ("peer", "name", far, "netns", str(place))
            run("ip", "link", "add", near, "type", "veth", *peer)
            set_up(near, far, place, number)
            self.ends += [(near, None), (far, place)]
        for device, place in self.ends:
            # Each packet is one, not the 64 KiB that the kernel cuts up later.
            run("ip", "link", "set", device, "gso_max_segs", "1", within=place)
            run("tc", "qdisc", "add", "dev", device, "root", "netem", within=place)

    def change(self, weather):
        delay = ("delay", f"{weather.delay}ms", f"{weather.jitter}ms") if weather.delay else ()
        loss = ("loss", f"{weather.loss}%", "duplicate", f"{weather.double}%")
        for device, place in self.ends:
            change = ("tc", "qdisc", "replace", "dev", device, "root", "netem", "limit", "10000")
            run(*change, *delay, *loss, within=place)

    def end(self):
        pass


class Carrier:
    """Links whose weather is made by a process of ours."""

    NAME = "TUN devices (this kernel has no netem)"

    def __init__(self, places):
        pairs = []
        for number, place in enumerate(places):
            near, far = f"near{number}", f"far{number}"
            pairs.append((tun(near), tun(far)))
            run("ip", "link", "set", far, "netns", str(place))
            set_up(near, far, place, number)
        self.orders, theirs = multiprocessing.Pipe()
        fork = multiprocessing.get_context("fork")
        self.process = fork.Process(target=carry, args=(pairs, theirs), daemon=True)
        self.process.start()

    def change(self, weather):
        self.orders.send(weather)

    def end(self):
        self.process.terminate()
        self.process.join()


def tun(name):
    """A new TUN device; what is written to it arrives, what leaves can be read."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return device


def carry(pairs, orders):
    """Takes packets from either end to the other, as the weather is."""
    across = {a: b for a, b in pairs} | {b: a for a, b in pairs}
    weather, draw, under_way, count = CALM, random.Random(1), [], 0
    poll = select.poll()
    for end in (*across, orders):
        poll.register(end, select.POLLIN)
    while True:
        wait = max(0, under_way[0][0] - time.monotonic()) * 1000 if under_way else None
        for end, _ in poll.poll(wait):
            if end == orders.fileno():
                weather = orders.recv()
                continue
            packet = os.read(end, 65536)
            for _ in range(1 + (draw.uniform(0, 100) < weather.double)):
                if draw.uniform(0, 100) >= weather.loss:
                    late = weather.delay + draw.uniform(-1, 1) * weather.jitter
                    due = time.monotonic() + late / 1000
                    count += 1
                    heapq.heappush(under_way, (due, count, across[end], packet))
        while under_way and under_way[0][0] <= time.monotonic():
            _, _, end, packet = heapq.heappop(under_way)
            try:
                os.write(end, packet)
            except BlockingIOError:
                pass


def links(places):
    """Links to these processes' networks, numbered from 0."""
    return (Netem if has_netem() else Carrier)(places)
