"""A link: one peer and one workflow, as this node sees them.

Pure, as ``stream.py``. Each end has an epoch (``envelope.Epoch``), and a stream runs from one epoch
to another: packets between other epochs do not count. So an end that was restarted, or that gave
the link up, begins anew, and neither end mistakes old packets for new ones.

That a letter comes shows that the peer's loop runs. Its supervisor may hang nevertheless, so a peer
has *answered* only with a letter that its supervisor had a part in.

A link *breaks* when the peer's epoch changes, and when the peer does not answer for ``patience_s``
although something waits for it. Then all that was under way is lost, at both ends.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from jobx.actors.bridge.envelope import UNKNOWN, Epoch, Letter, Packet
from jobx.actors.bridge.stream import WINDOW_BYTES, Inbox, Outbox, size_of
from jobx.errors import FrameError
from jobx.system.backoff import doubled

#: Packets are acknowledged after this at the latest, since mail often carries it …
ACK_S: Final = 0.02
#: … or at once, when so many bytes have arrived.
ACK_BYTES: Final = WINDOW_BYTES // 4
#: How often a silent peer is asked whether it is there …
PROBE_S: Final = 1.0
#: … and at least, when it is not: what nobody reads waits in its queue.
MAX_PROBE_S: Final = 10.0


class Broken(NamedTuple):
    """The link broke; all that was under way is lost."""

    reason: str


class Link:
    """One end of a link.

    Args:
        registration: The registration of this node with its cluster.
        now: Monotonic.
        patience_s: The peer is given up when it does not answer for so long.
        number: That of the first epoch of this end.

    Attributes:
        epoch: The epoch of this end.
        peer_epoch: The epoch of the other end, as far as known.
        is_up: The peer answers this epoch.
        is_asked: The peer wants an answer: ask the supervisor, then call ``answer``.
        outbox: What goes out.
        inbox: What comes in.
        breaks: How often it broke.
        stale: Number of letters that were dropped, since they were for or from another epoch.
    """

    def __init__(self, registration: int, now: float, patience_s: float, number: int = 1) -> None:
        self.epoch = Epoch(registration, number)
        self.peer_epoch = UNKNOWN
        self.breaks = self.stale = 0
        self._patience_s = patience_s
        self._is_used = self.is_asked = self._is_alive = False
        self._heard_at = now
        self._past_resent = self._past_duplicates = self._probes = 0
        self._begin()

    @property
    def resent(self) -> int:
        """Number of packets that were sent again, in all epochs."""
        return self._past_resent + self.outbox.resent

    @property
    def duplicates(self) -> int:
        """Number of packets that came again, in all epochs."""
        return self._past_duplicates + self.inbox.duplicates

    @property
    def heard_at(self) -> float:
        """When the peer answered last, or this node began to wait for it; monotonic."""
        return self._heard_at

    @property
    def is_clogged(self) -> bool:
        """Whether more waits to be sent than may be under way."""
        return self.outbox.backlog_bytes > WINDOW_BYTES

    def use(self, now: float, *, is_used: bool) -> None:
        """Say whether actors depend on the peer, so that its silence is noticed in any case."""
        if is_used and not self._is_used:
            self._heard_at = now
        self._is_used = is_used

    def retry(self) -> None:
        """Ask a peer that is not there: it may be reached by now.

        It is asked at once, or ``PROBE_S`` after it was asked last: all connections to one nsqd
        open one after the other.
        """
        if not self.is_up:
            self._probes = min(self._probes, 1)

    def receive(self, letter: Letter, now: float) -> list[bytes | Broken]:
        """Take a letter; return the messages that it completes, and whether the link broke."""
        events: list[bytes | Broken] = []
        if letter.source_epoch < self.peer_epoch:
            self.stale += 1
            return events
        if letter.source_epoch > self.peer_epoch:
            if self.peer_epoch != UNKNOWN:
                events.append(self._break("the peer began anew"))
            self.peer_epoch = letter.source_epoch
        if letter.target_epoch != self.epoch:
            self.stale += letter.target_epoch != UNKNOWN
            self._ack_at = now  # which tells the peer this epoch
            return events
        self.is_asked = self.is_asked or letter.wants_ack
        if letter.is_alive is not False:
            self.is_up, self._heard_at = True, now
        if not self.is_up:
            if letter.packets:  # they come again, and the peer is asked meanwhile
                self._ack_at = now
            return events
        self.outbox.acknowledge(letter.acked, now)
        try:
            for packet in letter.packets:
                events += self._take(packet, now)
        except FrameError as error:
            events.append(self.give_up(str(error)))
        return events

    def answer(self, now: float) -> None:
        """Tell the peer that the supervisor of this node has answered."""
        if self.is_asked:
            self.is_asked, self._is_alive, self._ack_at = False, True, now

    def _take(self, packet: Packet, now: float) -> list[bytes]:
        duplicates = self.inbox.duplicates
        messages = self.inbox.take(packet)
        self._unacked_bytes += size_of(packet)
        # A packet that comes again shows that its acknowledgement was lost.
        is_urgent = self._unacked_bytes >= ACK_BYTES or self.inbox.duplicates > duplicates
        self._ack_at = min(self._ack_at, now if is_urgent else now + ACK_S)
        return messages

    def poll(self, now: float) -> Letter | None:
        """Return the next letter to send; None if there is none now."""
        packets = self.outbox.take(now) if self.is_up else []
        is_probe = now >= self._probe_due_at()
        if not packets and not is_probe and now < self._ack_at:
            return None
        if is_probe:
            self._probed_at, self._probes = now, self._probes + 1
        self._ack_at, self._unacked_bytes = math.inf, 0
        wants_ack, is_alive = is_probe or not self.is_up, self._is_alive
        self._is_alive = False
        received = self.inbox.received
        return Letter(self.epoch, self.peer_epoch, received, wants_ack, packets, is_alive)

    def expire(self, now: float) -> Broken | None:
        """Break the link if the peer has not answered in time."""
        if now < self._lost_at():
            return None
        return self.give_up(f"the peer did not answer for {self._patience_s:g} s")

    def due_at(self) -> float:
        """Return when ``poll`` or ``expire`` will have something to do, unless mail comes first."""
        return min(self._probe_due_at(), self._ack_at, self._lost_at(), self.outbox.due_at)

    def give_up(self, reason: str) -> Broken:
        """Break the link; what the peer sends to the present epoch counts no more."""
        self.epoch = Epoch(self.epoch.registration, self.epoch.number + 1)
        return self._break(reason)

    def register(self, registration: int) -> Broken:
        """Begin a new epoch under a new registration of this node."""
        self.epoch = Epoch(registration, 0)
        return self.give_up("this node registered again")

    def lose(self, registration: int, reason: str) -> Broken | None:
        """Break the link for all epochs of the peer up to a registration, which has ended.

        Returns:
            None if the peer has a later one already: the link holds.
        """
        if self.peer_epoch.registration > registration:
            return None
        self.peer_epoch = max(self.peer_epoch, Epoch(registration, 1 << 62))
        return self.give_up(reason)

    def _probe_due_at(self) -> float:
        if not self.is_up:
            return self._probed_at + doubled(PROBE_S, self._probes - 1, MAX_PROBE_S)
        # Several in its time, so that none breaks the link that comes late.
        every_s = min(PROBE_S, self._patience_s / 4)
        return max(self._heard_at, self._probed_at) + every_s if self._is_used else math.inf

    def _lost_at(self) -> float:
        if not self.is_up:
            return math.inf
        silent_at = self._heard_at if self._is_used else math.inf
        return min(silent_at, self.outbox.waits_since) + self._patience_s

    def _break(self, reason: str) -> Broken:
        self.breaks += 1
        self._past_resent, self._past_duplicates = self.resent, self.duplicates
        self._begin()
        return Broken(reason)

    def _begin(self) -> None:
        """Begin both streams anew."""
        self.outbox, self.inbox = Outbox(), Inbox()
        self.is_up = False
        self.is_asked = self._is_alive = False
        self._ack_at = math.inf
        self._unacked_bytes = 0
        self._probed_at, self._probes = -math.inf, 0
