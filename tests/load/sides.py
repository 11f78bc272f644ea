"""The two ends of the streams of scripts/chaos.sh, each a process of its own:

  sides.py client SEED ADDRESS PORT TLS_PORT AUTHORITY CROWD
  sides.py backend SEED PORT [tiny]

A client keeps CROWD streams going from a line "go" of standard input on until it
reads "rest", and says when the last of them is over. For each stream that is
over, either side prints one line of JSON, at once: a process that is killed has
told of all that was over.
"""

import asyncio
import itertools
import json
import socket
import ssl
import struct
import sys
import time

from plans import Plan
from rig import BINARY, CLOSE, frame, request

# A stream that does nothing for as long hangs. In all it may take longer: where
# there is hardly a window, TCP hands over some 600 bytes each time that it tries.
PATIENCE = 120
PING, PONG = 0x89, 0x8A
NORMAL = (1000).to_bytes(2, "big")


class Lost(Exception):
    """Bytes or bounds came that are not those that were sent."""


class Side:
    """What both ends of a stream have in common."""

    def __init__(self, plan, outgoing, incoming, reader, writer):
        self.plan, self.outgoing, self.incoming = plan, outgoing, incoming
        self.reader, self.writer = reader, writer
        # How far each direction is: in bytes, as the backend sees them when
        # written, and as this side sees them when read.
        self.sent = self.got = 0
        self.stall_at, self.stall = incoming.read_stall
        # One writer at a time: pongs go between messages.
        self.turn = asyncio.Lock()

    def reset(self):
        """Ends the connection as a crash would."""
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def write(self, bytes_):
        """Writes in pieces of the plan's size."""
        async with self.turn:
            for at in range(0, len(bytes_), self.outgoing.piece):
                self.writer.write(bytes_[at : at + self.outgoing.piece])
                await self.writer.drain()
                await asyncio.sleep(0)

    async def heard(self, part, expected):
        """Sees that what came is what was sent, and rests if the plan says so."""
        if expected[self.got : self.got + len(part)] != part:
            raise Lost(f"at byte {self.got}, {part[:20]!r}… of {len(part)} bytes")
        self.got += len(part)
        if self.stall and self.got > self.stall_at:
            seconds, self.stall = self.stall, 0
            await asyncio.sleep(seconds)

    async def both(self, talk):
        """Talks and listens until listening is over, then until all is said."""
        talking = asyncio.create_task(talk)
        try:
            await self.listen()
            await talking
        finally:
            talking.cancel()
            await asyncio.gather(talking, return_exceptions=True)

    async def while_it_moves(self, stream):
        """Waits for its end, or until nothing has moved for too long."""
        task, moved = asyncio.create_task(stream), None
        while moved != (self.sent, self.got):
            moved = self.sent, self.got
            if (await asyncio.wait([task], timeout=PATIENCE))[0]:
                return await task
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise TimeoutError

    async def run(self):
        """To the end of the stream; what is to be told of it."""
        told = {"n": self.plan.number, "end": "eof"}
        try:
            await self.while_it_moves(self.both(self.talk()))
        except TimeoutError:
            told["end"] = "hangs"
        except Lost as lost:
            told["lost"] = str(lost)
        except (OSError, asyncio.IncompleteReadError) as broken:
            told["end"] = type(broken).__name__
        self.writer.transport.abort()
        return told | {"sent": self.sent, "got": self.got}


class Client(Side):
    def __init__(self, plan, reader, writer):
        super().__init__(plan, plan.up, plan.down, reader, writer)
        self.messages = 0
        self.mute = False
        # Whether the backend ended within a line, which is the last then.
        self.cut = False
        self.code = None
        self.closed = asyncio.Event()
        self.satisfied = asyncio.Event()

    async def talk(self):
        ending = self.plan.ending
        rest_at, seconds = self.outgoing.write_stall
        for message, end in zip(self.outgoing.messages, self.outgoing.framed_ends):
            if self.closed.is_set():
                break
            if ending == "client-reset" and end > self.plan.reset_at:
                return self.reset()
            if seconds and end > rest_at:
                await asyncio.sleep(seconds)
                seconds = 0
            await self.write(frame(BINARY, message))
            self.sent = end
        if ending == "client-reset":
            return self.reset()
        if ending == "client":
            await either(self.satisfied, self.closed)
        if ending in ("backend", "backend-reset"):
            await self.closed.wait()
        if ending == "fin":
            self.mute = True
            return self.writer.write_eof()
        await self.write(frame(CLOSE, NORMAL))

    async def listen(self):
        self.look()
        while head := await self.reader.read(1):
            (length,) = await self.reader.readexactly(1)
            if length >= 126:
                size = await self.reader.readexactly(2 if length == 126 else 8)
                length = int.from_bytes(size, "big")
            if head[0] in (PING, CLOSE):
                await self.control(head[0], await self.reader.readexactly(length))
            else:
                await self.data(head[0], length)

    async def control(self, kind, payload):
        if kind == PING:
            # Who has half-closed cannot answer any more.
            if not self.mute:
                await self.write(frame(PONG, payload))
        else:
            self.code = int.from_bytes(payload[:2], "big")
            self.closed.set()

    async def data(self, head, length):
        while length:
            part = await self.reader.read(min(length, 65536))
            if not part:
                raise ConnectionError("within a frame")
            length -= len(part)
            await self.heard(part, self.incoming.payload)
        if head & 0x80 and self.plan.framing != "raw":
            if self.cut:
                raise Lost("a message behind one that was cut off")
            self.cut = self.incoming.payload_ends[self.messages :][:1] != [self.got]
            if self.cut and self.plan.framing != "lines":
                raise Lost(f"message {self.messages} ends at byte {self.got}")
            self.messages += 1
        self.look()

    def look(self):
        """Notes whether all has come."""
        whole = self.plan.framing == "raw" or self.messages == len(self.incoming.messages)
        if whole and self.got == len(self.incoming.payload):
            self.satisfied.set()

    async def run(self):
        told = await super().run()
        return told | {"code": self.code, "all": self.satisfied.is_set(), "cut": self.cut}


class Backend(Side):
    def __init__(self, plan, reader, writer):
        super().__init__(plan, plan.down, plan.up, reader, writer)

    async def talk(self):
        is_reset = self.plan.ending == "backend-reset"
        until = self.plan.reset_at if is_reset else len(self.outgoing.framed)
        rest_at, seconds = self.outgoing.write_stall
        while self.sent < until:
            if seconds and self.sent > rest_at:
                await asyncio.sleep(seconds)
                seconds = 0
            part = self.outgoing.framed[self.sent : min(self.sent + self.outgoing.piece, until)]
            await self.write(part)
            self.sent += len(part)
        if is_reset:
            self.reset()
        elif self.plan.ending == "backend":
            self.writer.write_eof()

    async def listen(self):
        while part := await self.reader.read(65536):
            await self.heard(part, self.incoming.framed)

    async def both(self, talk):
        talking = asyncio.create_task(talk)
        try:
            await self.listen()
            # The client has closed: what was not said need not be said.
        finally:
            talking.cancel()
            await asyncio.gather(talking, return_exceptions=True)


async def either(*events):
    """Until one of them has happened."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()


def tell(**told):
    print(json.dumps(told | {"at": time.monotonic()}), flush=True)


def narrow(raw):
    """As small a window as the kernel lets anybody have."""
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)


class Crowd:
    """The clients."""

    def __init__(self, seed, address, port, tls_port, authority, size):
        self.seed, self.address, self.size = seed, address, int(size)
        self.port, self.tls_port = int(port), int(tls_port)
        self.context = ssl.create_default_context(cafile=authority)
        self.numbers = itertools.count()
        self.going = asyncio.Event()
        self.running = set()

    async def connected(self, plan):
        raw = socket.socket()
        raw.setblocking(False)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if plan.tiny:
            narrow(raw)
        try:
            place = self.address, self.tls_port if plan.tls else self.port
            await asyncio.get_running_loop().sock_connect(raw, place)
            tls = {"ssl": self.context, "server_hostname": "localhost"} if plan.tls else {}
            return await asyncio.open_connection(sock=raw, **tls)
        except BaseException:
            raw.close()
            raise

    async def opened(self, plan):
        """Connection and status of the answer."""
        reader, writer = await self.connected(plan)
        writer.write(request(f"{plan.path}?n={plan.number}"))
        head = await reader.readuntil(b"\r\n\r\n")
        return reader, writer, int(head.split(b" ")[1])

    async def stream(self, number):
        plan, began = Plan(self.seed, number), time.monotonic()
        told = {"side": "client", "n": number, "began": began, "status": 0}
        try:
            reader, writer, status = await asyncio.wait_for(self.opened(plan), PATIENCE)
            told["status"] = status
            if status == 101:
                told |= await Client(plan, reader, writer).run()
            else:
                writer.transport.abort()
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as broken:
            told["end"] = type(broken).__name__
        tell(**told)

    async def run(self):
        orders = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
        while order := await orders.readline():
            if order == b"go\n":
                self.going.set()
                while len(self.running) < self.size:
                    task = asyncio.create_task(self.streams())
                    self.running.add(task)
                    task.add_done_callback(self.running.discard)
            else:
                self.going.clear()
                if self.running:
                    await asyncio.wait(self.running)
                tell(side="client", rests=True)

    async def streams(self):
        while self.going.is_set():
            await self.stream(next(self.numbers))


async def backend(seed, port, *how):
    async def serve(reader, writer):
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            greeting = await reader.readuntil(b"\n")
        except (OSError, asyncio.IncompleteReadError):
            return writer.transport.abort()
        number = int(greeting.removeprefix(b"n="))
        tell(side="backend", **await Backend(Plan(seed, number), reader, writer).run())

    listener = socket.create_server(("", int(port)), backlog=1024)
    if how:
        narrow(listener)
    server = await asyncio.start_server(serve, sock=listener)
    tell(side="backend", listens=True)
    await server.serve_forever()


def main():
    kind, *arguments = sys.argv[1:]
    asyncio.run(Crowd(*arguments).run() if kind == "client" else backend(*arguments))


main()
