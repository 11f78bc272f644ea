"""What each stream of a round does: drawn from the round's seed and the stream's
number, so that both of its ends know all of it without a word to each other.

The bytes of a direction are known beforehand: whoever receives some compares them
at once with what they have to be.
"""

import itertools
import random
import string

FRAMINGS = ("raw", "lines", "length-u32", "record")
# Backends: one that stays, one with hardly any window, one that is killed.
DOORS = ("steady", "tiny", "mortal")
# How a stream ends: by a Close of the client's once it has all, or before that;
# by the backend's end; by a half-closed client; by a reset of either side's.
ENDINGS = ("client", "early", "backend", "fin", "client-reset", "backend-reset")

# Letters only, so that no framing finds its delimiter in them. A prime number of
# them: no part that is lost or doubled looks like another.
LETTERS = "".join(random.Random(4).choices(string.ascii_letters, k=131_071)).encode() * 2


class Direction:
    """The messages of one direction, and how they are written and read."""

    def __init__(self, draw, framing, slow):
        one_by_one = draw.random() < 0.15
        # What fits through a tiny window, or byte by byte, in a few seconds.
        budget = 1500 if one_by_one else 20_000 if slow else draw.choice((0, 5_000, 200_000, 800_000))
        self.piece = 1 if one_by_one else draw.choice((7, 500, 20_000, 100_000))
        if budget / self.piece > 2000:
            self.piece = 500
        self.messages = []
        start = draw.randrange(len(LETTERS) // 2)
        while budget > 0:
            length = min(budget, draw.randrange(draw.choice((20, 2_000, 70_000))))
            self.messages.append(LETTERS[start : start + length])
            start = (start + length + 1) % (len(LETTERS) // 2)
            budget -= length + 1
        # The bytes as the client and as the backend sees them, and where each
        # message ends.
        self.payload, self.payload_ends = joined(self.messages)
        self.framed, self.framed_ends = joined(framed_as(framing, m) for m in self.messages)
        # When the writer, and the reader, does nothing for so many seconds.
        self.write_stall = self.stall(draw)
        self.read_stall = self.stall(draw)

    def stall(self, draw):
        """At which byte, and how long."""
        if draw.random() < 0.9:
            return len(self.framed) + 1, 0
        return draw.randrange(len(self.framed) + 1), draw.uniform(1, 3)


class Plan:
    """A stream of the round with this seed."""

    def __init__(self, seed, number):
        draw = random.Random(f"{seed} {number}")
        self.number = number
        self.framing = draw.choice(FRAMINGS)
        self.door = draw.choice(DOORS)
        self.ending = draw.choice(ENDINGS)
        # Nobody can end one direction of TLS alone here.
        self.tls = draw.random() < 0.5 and self.ending != "fin"
        self.tiny = draw.random() < 0.15
        slow = self.tiny or self.door == "tiny"
        self.up = Direction(draw, self.framing, slow)
        self.down = Direction(draw, self.framing, slow)
        # The byte of its own direction behind which a side resets.
        own = self.up if self.ending == "client-reset" else self.down
        self.reset_at = draw.randrange(len(own.framed) + 1)
        self.path = f"/{self.framing}/{self.door}"


def framed_as(framing, message):
    """A message as the backend sees it."""
    if framing == "lines":
        return message + b"\n"
    if framing == "length-u32":
        return len(message).to_bytes(4, "big") + message
    if framing == "record":
        return b"\x82" + len(message).to_bytes(4, "big") + message
    return message


def joined(parts):
    """All of them as one, and where each ends."""
    parts = list(parts)
    return b"".join(parts), list(itertools.accumulate(map(len, parts)))
