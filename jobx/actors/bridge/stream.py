"""The two ends of a stream of messages over datagrams that get lost, doubled and reordered.

Pure: time comes in as an argument, packets go out as results. The sender numbers packets, keeps
them until they are acknowledged, and sends the first ones again when nothing is acknowledged for a
while; each acknowledgement of those sends the next ones, so a receiver that stands still is not
buried. The receiver puts packets in order, drops those that come twice, and acknowledges what it
has without a gap.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Final

from jobx.actors.bridge.envelope import Packet
from jobx.errors import FrameError, TooLarge
from jobx.system.backoff import doubled

#: Longer messages travel in several packets.
FRAGMENT_BYTES: Final = 512 << 10
#: Bytes of packets in one datagram. One packet always fits.
DATAGRAM_BYTES: Final = FRAGMENT_BYTES
#: What a packet costs beyond its body, so that limits in bytes bound numbers of packets, too.
PACKET_BYTES: Final = 64
#: Longest message: as long as a frame.
MAX_MESSAGE_BYTES: Final = 64 << 20
#: Most packets of one message; a later version may make smaller ones.
MAX_PARTS: Final = 8 * MAX_MESSAGE_BYTES // FRAGMENT_BYTES
#: Packets under way: sent and not acknowledged, or arrived before an earlier one.
WINDOW_BYTES: Final = 4 << 20
#: All packets that a sender keeps.
BACKLOG_BYTES: Final = 2 * MAX_MESSAGE_BYTES
#: Wait for an acknowledgement before packets are sent again; doubled each time, up to the second.
RESEND_S: Final = 0.25
MAX_RESEND_S: Final = 1.0


def size_of(packet: Packet) -> int:
    """Return what a packet counts in limits of bytes."""
    return len(packet.body) + PACKET_BYTES


class Outbox:
    """The sender's end of a stream.

    Attributes:
        acked: All packets up to this number are acknowledged.
        backlog_bytes: Size of the packets that are kept.
        resent: Number of packets that were sent again.
        waits_since: When the oldest packet was sent, or the one before it was acknowledged;
            infinite if all are acknowledged.
        due_at: When packets will be sent again; infinite if all are acknowledged.
    """

    def __init__(self) -> None:
        self.acked = 0
        self.backlog_bytes = 0
        self.resent = 0
        self.waits_since = self.due_at = math.inf
        self._numbered = 0
        self._waiting: deque[Packet] = deque()
        self._sent: deque[Packet] = deque()
        self._window_bytes = 0
        self._tries = 0
        #: What may be lost: ``_again`` up to ``_until``; a datagram of it ``_may_resend`` now.
        self._again = self._until = 0
        self._may_resend = False

    @property
    def unacknowledged(self) -> int:
        """Number of packets that the peer has not acknowledged."""
        return len(self._sent) + len(self._waiting)

    def put(self, message: bytes) -> None:
        """Add a message.

        Raises:
            TooLarge: The message is too long, or too much waits already.
        """
        size = len(message)
        if size > MAX_MESSAGE_BYTES or self.backlog_bytes + size > BACKLOG_BYTES:
            reason = f"{MAX_MESSAGE_BYTES} bytes, and {BACKLOG_BYTES} together, are the most"
            raise TooLarge("a message to another node", f"{size} bytes", reason)
        for start in range(0, size, FRAGMENT_BYTES) or (0,):
            stop = start + FRAGMENT_BYTES
            self._numbered += 1
            packet = Packet(self._numbered, stop >= size, message[start:stop])
            self._waiting.append(packet)
            self.backlog_bytes += size_of(packet)

    def take(self, now: float) -> list[Packet]:
        """Return the packets of the next datagram; none if nothing may be sent now."""
        if now >= self.due_at:
            self._tries += 1
            self.due_at = now + doubled(RESEND_S, self._tries, MAX_RESEND_S)
            self._again, self._until = self.acked + 1, self._sent[-1].number
            self._may_resend = True
        return self._take_again() if self._may_resend else self._take_new(now)

    def acknowledge(self, number: int, now: float) -> None:
        """Note that the receiver has all packets up to ``number``."""
        if not self._sent or not self.acked < number <= self._sent[-1].number:
            return
        while self._sent and self._sent[0].number <= number:
            size = size_of(self._sent.popleft())
            self._window_bytes -= size
            self.backlog_bytes -= size
        self.acked = number
        self._tries = 0
        self._again = max(self._again, number + 1)
        self._may_resend = self._again <= self._until
        self.waits_since = now if self._sent else math.inf
        self.due_at = now + RESEND_S if self._sent else math.inf

    def _take_again(self) -> list[Packet]:
        self._may_resend = False
        skipped = self._again - self.acked - 1
        found = _first(islice(self._sent, skipped, None), DATAGRAM_BYTES)
        found = [packet for packet in found if packet.number <= self._until]
        self._again = found[-1].number + 1
        self.resent += len(found)
        return found

    def _take_new(self, now: float) -> list[Packet]:
        room = WINDOW_BYTES - self._window_bytes
        if room <= 0 or not self._waiting:
            return []
        if not self._sent:
            self.waits_since, self.due_at = now, now + RESEND_S
        found = _first(self._waiting, min(DATAGRAM_BYTES, room))
        for packet in found:
            self._waiting.popleft()
            self._sent.append(packet)
            self._window_bytes += size_of(packet)
        return found


class Inbox:
    """The receiver's end of a stream.

    Attributes:
        received: All packets up to this number have arrived.
        duplicates: Number of packets that came again.
        refused: Number of packets that came too early to be kept.
    """

    def __init__(self) -> None:
        self.received = 0
        self.duplicates = 0
        self.refused = 0
        self._early: dict[int, Packet] = {}
        self._early_bytes = 0
        self._parts: list[bytes] = []
        self._parts_bytes = 0

    def take(self, packet: Packet) -> list[bytes]:
        """Take a packet and return the messages that it completes, in order.

        Raises:
            FrameError: A message is longer than any may be.
        """
        number = packet.number
        if number <= self.received or number in self._early:
            self.duplicates += 1
            return []
        if number > self.received + 1:
            self._keep(packet)
            return []
        messages: list[bytes] = []
        found: Packet | None = packet
        while found is not None:
            self.received += 1
            messages += self._join(found)
            found = self._early.pop(self.received + 1, None)
            if found is not None:
                self._early_bytes -= size_of(found)
        return messages

    def _keep(self, packet: Packet) -> None:
        size = size_of(packet)
        if self._early_bytes + size > WINDOW_BYTES + DATAGRAM_BYTES:
            self.refused += 1  # it will be sent again
            return
        self._early[packet.number] = packet
        self._early_bytes += size

    def _join(self, packet: Packet) -> list[bytes]:
        self._parts_bytes += len(packet.body)
        if self._parts_bytes > MAX_MESSAGE_BYTES:
            raise FrameError(f"a message of more than {MAX_MESSAGE_BYTES} bytes from another node")
        self._parts.append(packet.body)
        if len(self._parts) > MAX_PARTS:
            raise FrameError(f"a message of more than {MAX_PARTS} packets from another node")
        if not packet.is_last:
            return []
        message = b"".join(self._parts) if len(self._parts) > 1 else packet.body
        self._parts, self._parts_bytes = [], 0
        return [message]


def _first(packets: Iterable[Packet], most_bytes: int) -> list[Packet]:
    """Return the first packet, and those after it while their size is at most ``most_bytes``."""
    found: list[Packet] = []
    size = 0
    for packet in packets:
        size += size_of(packet)
        if found and size > most_bytes:
            break
        found.append(packet)
    return found
