"""adit between a client and a backend in networks of their own, while all goes wrong
that can: see scripts/chaos.sh.

A round is a row of storms and lulls with one and the same adit, and then several
of its kind that are told to stop in the middle of a storm. Each stream's bytes are
compared as they arrive. After it ended, both sides have told what they sent and
got, and a stream that ended in order must have lost nothing. In each lull no stream
is left, and adit has to have as many descriptors as before the first storm, and no
more memory.
"""

import collections
import json
import os
import random
import resource
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time

from plans import DOORS, FRAMINGS, Plan
from watched import Watched, many_files
from weather import ALL, CALM, links, networks, run

HERE = os.path.dirname(os.path.abspath(__file__))
PORT, TLS_PORT = 8080, 8443
CLIENT, BACKEND = 0, 1
ADIT = "10.77.0.1"
BACKENDS = {door: (7000 + n, ("tiny",) if door == "tiny" else ()) for n, door in enumerate(DOORS)}
CERTIFICATES = 4
CROWD = 30
STORM = 20
# Of these the first tell how much memory the others may have.
LEAST_STORMS = 2
STOPS = 3
# More than any timeout of adit's takes, and TCP with hardly a window.
PATIENCE = 600
# What adit opens for the first large download, and keeps.
PIPE = 2
# What errors in the log may say: what was done to the files, and why it is one.
CAUSES = (
    'unknown key "nonsense"',
    "keeping the old settings",
    "does not belong to",
    "cannot be read: Too many open files",
)
GROWTH = 2 * 1024 * 1024


class Side:
    """An end of the streams: a process, and what it has told."""

    def __init__(self, place, *arguments):
        command = ["nsenter", "-t", str(place), "-n", sys.executable, f"{HERE}/sides.py"]
        self.process = subprocess.Popen(
            [*command, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.told = {}
        self.said = collections.Counter()
        self.news = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stdout:
            report = json.loads(line)
            with self.news:
                if "n" in report:
                    self.told[report["n"]] = report
                else:
                    self.said.update(report.keys())
                self.news.notify_all()

    def order(self, what):
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()

    def wait(self, word, n=1):
        """Until it has said so, for the nth time."""
        with self.news:
            if not self.news.wait_for(lambda: self.said[word] >= n, PATIENCE):
                raise SystemExit(f"chaos: a side does not say that it {word}")

    def kill(self):
        self.process.kill()
        self.process.wait()


class Round:
    def __init__(self, binary, seconds, seed, directory):
        self.binary, self.seconds, self.seed = binary, seconds, seed
        self.directory = directory
        self.draw = random.Random(seed)
        self.places = networks(2)
        run("ip", "link", "set", "lo", "up")
        self.links = links([place.pid for place in self.places])
        self.adit = None
        self.faults = []
        # When each thing went on that may cost streams: (from, to).
        self.times = collections.defaultdict(list)
        self.backends, self.fallen = {}, []
        self.serial = self.changes = 0
        self.outcomes = collections.Counter()
        self.judged = self.shown = 0
        self.prepare()

    def prepare(self):
        """Certificates to change, the backends, and the clients."""
        script = f"{HERE}/../../scripts/certs.sh"
        for n in range(CERTIFICATES):
            run(script, self.directory, "localhost", quiet=True)
            for name in ("cert", "key"):
                os.rename(f"{self.directory}/{name}.pem", f"{self.directory}/{name}.{n}")
        self.change_certificate()
        for door in DOORS:
            self.start_backend(door)
        authority = f"{self.directory}/ca.pem"
        place = self.places[CLIENT].pid
        self.clients = Side(place, "client", self.seed, ADIT, PORT, TLS_PORT, authority, CROWD)

    def start_backend(self, door):
        port, how = BACKENDS[door]
        self.backends[door] = Side(self.places[BACKEND].pid, "backend", self.seed, port, *how)
        self.backends[door].wait("listens")

    def change_certificate(self):
        """Puts the next certificate where adit reads it."""
        self.serial += 1
        n = self.serial % CERTIFICATES
        for name in ("key", "cert"):
            whole = f"{self.directory}/{name}.new"
            with open(f"{self.directory}/{name}.{n}") as old, open(whole, "w") as new:
                new.write(old.read())
            os.rename(whole, f"{self.directory}/{name}.pem")

    def configuration(self):
        routes = "".join(
            f'[[route]]\npath = "/{framing}/{door}"\nframing = "{framing}"\n'
            f'backend = "10.77.1.2:{port}"\n'
            for framing in FRAMINGS
            for door, (port, _) in BACKENDS.items()
        )
        return f"""
            drain-timeout = "3s"
            handshake-timeout = "30s"
            close-timeout = "20s"
            connect-timeout = "10s"
            ping-interval = "{8 + self.changes % 2}s"
            idle-timeout = "20s"
            max-connections = 300
            greeting = "%q\\n"
            origin = "any"
            user = "root"
            [[listen]]
            address = "{ADIT}:{PORT}"
            [[listen]]
            address = "{ADIT}:{TLS_PORT}"
            tls-cert = "{self.directory}/cert.pem"
            tls-key = "{self.directory}/key.pem"
            {routes}"""

    def start(self):
        self.adit = Watched(self.binary, self.configuration())
        self.adit.addresses(2)

    # What goes wrong.

    def storm(self, seconds):
        """Streams under way, and each second a reload and more."""
        self.clients.order("go")
        began = time.monotonic()
        for second in range(seconds):
            if second % 3 == 0:
                self.links.change(self.draw.choice(ALL))
            if second % 5 == 1:
                self.backend_dies()
            elif second % 5 == 3:
                self.start_backend("mortal")
            change = ("key", "mistake", "certificate")[second % 3]
            if second % 10 == 6:
                self.descriptors_run_out()
            elif second % 10 == 8:
                self.descriptors_are_back()
            # A good reload would raise the limit again.
            self.reload("mistake" if second % 10 in (6, 7) else change)
            time.sleep(max(0, began + second + 1 - time.monotonic()))

    def backend_dies(self):
        self.backends["mortal"].kill()
        self.fallen.append(self.backends["mortal"])

    def descriptors_run_out(self):
        self.limit_files(self.adit.descriptors())
        self.times["scarce"].append([time.monotonic(), float("inf")])

    def descriptors_are_back(self):
        _, most = resource.prlimit(self.adit.child.pid, resource.RLIMIT_NOFILE)
        self.limit_files(most)
        self.times["scarce"][-1][1] = time.monotonic()

    def limit_files(self, number):
        child, files = self.adit.child.pid, resource.RLIMIT_NOFILE
        resource.prlimit(child, files, (number, resource.prlimit(child, files)[1]))

    def reload(self, change):
        """With another certificate and, beside that, another value of a key, a
        mistake in the file, or nothing."""
        self.change_certificate()
        self.changes += change == "key"
        mistake = "nonsense = 1\n" if change == "mistake" else ""
        self.adit.configure(mistake + self.configuration())
        os.kill(self.adit.child.pid, signal.SIGHUP)

    # What has to be right all the same.

    def lull(self, n):
        """Nobody wants anything; all streams come to their end."""
        self.links.change(CALM)
        self.clients.order("rest")
        self.clients.wait("rests", n)

    def settled(self, descriptors):
        """Whether adit has as many descriptors as this, now or soon."""
        until = time.monotonic() + PATIENCE
        while self.adit.descriptors() > descriptors and time.monotonic() < until:
            time.sleep(0.1)
        if (left := self.adit.descriptors()) > descriptors:
            self.faults.append(f"{left} descriptors where at most {descriptors} should be")

    def serves_the_newest(self):
        """Whether the certificate that lies there is the one that is shown."""
        after = len(self.adit.lines)
        self.reload("certificate")
        self.adit.wait_for(r"reloaded", after)
        shown = ssl.get_server_certificate((ADIT, TLS_PORT))
        with open(f"{self.directory}/cert.pem") as file:
            if shown.strip() != file.read().strip():
                self.faults.append("a certificate that changed is not shown")

    def behind(self):
        """What all backends have told, by stream."""
        told = {}
        for side in [*self.fallen, *self.backends.values()]:
            with side.news:
                told |= side.told
        return told

    def judge(self):
        """Holds what the sides have told against each other."""
        fronts, owed = self.clients.told, set()
        for n, told in fronts.items():
            if told["status"] == 101 and Plan(self.seed, n).door != "mortal":
                owed.add(n)
        # What adit has handed over may still be on its way.
        until = time.monotonic() + PATIENCE
        while owed - self.behind().keys() and time.monotonic() < until:
            time.sleep(0.1)
        behind = self.behind()
        for n, told in sorted(fronts.items()):
            plan = Plan(self.seed, n)
            fault = verdict(plan, told, behind.get(n), self.excuse(told))
            self.outcomes[outcome(told, plan)] += 1
            if fault:
                self.faults.append(f"stream {n}, {describe(plan)}: {fault}; {told} {behind.get(n)}")
        self.judged += len(fronts)
        for side in (self.clients, *self.backends.values()):
            side.told.clear()
        self.fallen.clear()

    def excuse(self, told):
        """What went on beside the weather while this stream lived."""
        lived = told["began"], told["at"]
        return {
            what
            for what, times in self.times.items()
            if any(lived[0] <= to and begin <= lived[1] for begin, to in times)
        }

    def read_the_log(self):
        """An error has to name its cause, and to have one."""
        for line in filter(None, self.adit.lines):
            is_error = " ERROR " in line
            is_ours = any(cause in line for cause in CAUSES)
            if "panicked" in line or (is_error and not is_ours):
                self.faults.append(f"the log: {line[:200]}")
            self.outcomes["errors in the log, which name their cause"] += is_error
            self.outcomes["reloads of a good file"] += "reloaded (" in line
        self.adit.lines.clear()

    def run(self):
        began, lulls = time.monotonic(), 0
        self.start()
        sizes, descriptors = [], self.adit.descriptors() + PIPE
        while len(sizes) < LEAST_STORMS or time.monotonic() - began < self.seconds:
            self.storm(STORM)
            lulls += 1
            self.lull(lulls)
            self.settled(descriptors)
            self.serves_the_newest()
            self.judge()
            sizes.append(self.adit.anonymous())
            self.say(f"{len(sizes)} storms, {self.judged} streams, {sizes[-1] // 1024} KiB of memory")
        quarter = max(1, len(sizes) // 4)
        if max(sizes[quarter:]) > max(sizes[:quarter]) + GROWTH:
            self.faults.append(f"memory grows: {[size // 1024 for size in sizes]} KiB")
        for n in range(STOPS):
            if n > 0:
                self.start()
            self.stop_in_a_storm(lulls + n + 1)

    def say(self, text):
        print(text, flush=True)
        for fault in self.faults[self.shown :]:
            print(f"  FAULT {fault}", flush=True)
        self.shown = len(self.faults)

    def stop_in_a_storm(self, lulls):
        """SIGTERM under load: adit ends by itself, in order and in time."""
        self.links.change(self.draw.choice(ALL[:-1]))
        self.clients.order("go")
        time.sleep(4)
        self.times["stop"].append([time.monotonic(), float("inf")])
        self.adit.child.terminate()
        self.clients.order("rest")
        try:
            code = self.adit.child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            code = None
            self.adit.child.kill()
        if code != 0:
            self.faults.append(f"adit was told to stop and ended with {code}")
        self.lull(lulls)
        self.times["stop"][-1][1] = time.monotonic()
        self.read_the_log()
        self.judge()
        self.say(f"stopped in a storm, {self.judged} streams")

    def end(self):
        self.links.end()
        if self.adit:
            self.adit.child.kill()
        for side in (self.clients, *self.backends.values()):
            side.kill()
        for place in self.places:
            place.kill()
            place.wait()


def describe(plan):
    sides = f"up {len(plan.up.framed)} B, down {len(plan.down.framed)} B"
    return f"{plan.path}{' TLS' if plan.tls else ''}{' tiny' if plan.tiny else ''} {plan.ending}, {sides}"


def outcome(told, plan):
    """A stream's end in a few words, to be counted."""
    if told["status"] != 101:
        return f"refused, {told['status'] or told.get('end')}"
    return f"{plan.ending}: {told.get('code') or told['end']}"


def verdict(plan, told, behind, excuse):
    """What is wrong with a stream, if anything."""
    for side in filter(None, (told, behind)):
        if "lost" in side:
            return f"bytes are not those that were sent: {side['lost']}"
        if side.get("end") == "hangs":
            return "it does not end"
    if told["status"] != 101:
        is_excused = plan.door == "mortal" or excuse & {"scarce", "stop"}
        return None if is_excused else "it got no tunnel"
    code = told["code"]
    if told["cut"] and code == 1011:
        return "a line that was cut off was told as whole"
    if plan.door == "mortal" or plan.ending.endswith("reset"):
        return None
    in_order = code is not None or plan.ending == "fin"
    if not in_order or told["end"] != "eof":
        return f"it ended with {told['end']}"
    # The network may be gone for longer than a sign of life may take.
    allowed = {1000, 1001} | ({None} if plan.ending == "fin" else set())
    if code not in allowed:
        return f"it was closed with {code}"
    if behind is None or behind["end"] != "eof":
        return "its backend did not see its end"
    if behind["got"] != told["sent"]:
        return f"{told['sent'] - behind['got']} bytes of the client's are lost"
    if code == 1000 and plan.ending in ("client", "backend") and not told["all"]:
        return "bytes of the backend's are lost"
    return None


def main():
    binary, seconds, seed = sys.argv[1:]
    many_files()
    with tempfile.TemporaryDirectory() as directory:
        round_ = Round(os.path.abspath(binary), int(seconds), seed, directory)
        print(f"links: {round_.links.NAME}; seed {seed}", flush=True)
        try:
            round_.run()
        finally:
            round_.end()
    for what, times in sorted(round_.outcomes.items()):
        print(f"{times:7} {what}")
    if round_.faults:
        raise SystemExit(f"chaos: {len(round_.faults)} faults, seed {seed}")


main()
