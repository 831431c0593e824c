"""The links of a node, each with the actors that depend on it, and what they send."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from thespian.actors import ActorAddress

from jobx.actors.bridge.envelope import Envelope, Letter, Seal
from jobx.actors.bridge.link import Broken, Link
from jobx.actors.bridge.transport import Lane, Transport
from jobx.actors.runtime.scheduler import Scheduler, Timer

#: Bytes that one link sends in a turn of the loop.
TURN_BYTES: Final = 1 << 20
#: Links that send in a turn of the loop; there is one for each workflow and peer.
TURN_LINKS: Final = 64


class LocalEnd(NamedTuple):
    """A node in its cluster.

    Attributes:
        registration: Grows with each registration of the node with its cluster.
        cluster: The name of the cluster.
        patience_s: A peer that does not answer for so long is given up.
    """

    node_id: str
    registration: int
    cluster: str
    patience_s: float = 5.0


class LinkState(NamedTuple):
    """The state of a link, and its counts in all its epochs.

    Attributes:
        heard_at: When the peer answered last, or this node began to wait for it; monotonic.
        undelivered: Packets that it has not acknowledged.
    """

    lane: Lane
    is_up: bool
    children: int
    hosted: int
    backlog_bytes: int
    resent: int
    duplicates: int
    stale: int
    breaks: int
    heard_at: float = 0.0
    undelivered: int = 0


class End:
    """A link with the actors that depend on it.

    Attributes:
        children: Actors on the peer, of parents here.
        hosted: Actors here, of parents on the peer.
        is_awaited: The peer is needed though no actor depends on it.
        alarm: Rings when the link has something to send or gives up its peer, at ``alarm_at``.
    """

    __slots__ = ("alarm", "alarm_at", "children", "hosted", "is_awaited", "lane", "link")

    def __init__(self, lane: Lane, link: Link) -> None:
        self.lane = lane
        self.link = link
        self.children: set[ActorAddress] = set()
        self.hosted: set[ActorAddress] = set()
        self.is_awaited = False
        self.alarm: Timer | None = None
        self.alarm_at = 0.0

    def add(self, actors: set[ActorAddress], address: ActorAddress, now: float) -> None:
        """Add one of ``children`` or ``hosted``."""
        actors.add(address)
        self.link.use(now, is_used=True)

    def remove(self, actors: set[ActorAddress], address: ActorAddress, now: float) -> None:
        """Remove one of ``children`` or ``hosted``."""
        actors.discard(address)
        self.use(now)

    def use(self, now: float) -> None:
        """Say whether the silence of the peer is noticed."""
        self.link.use(now, is_used=bool(self.children or self.hosted or self.is_awaited))

    @property
    def has_room(self) -> bool:
        """Whether an actor can be created on the peer now."""
        return self.link.is_up and not self.link.is_clogged

    def state(self) -> LinkState:
        """Describe the link."""
        link = self.link
        return LinkState(
            self.lane,
            link.is_up,
            len(self.children),
            len(self.hosted),
            link.outbox.backlog_bytes,
            link.resent,
            link.duplicates,
            link.stale,
            link.breaks,
            link.heard_at,
            link.outbox.unacknowledged,
        )


class Ends:
    """The links of a node, by workflow and peer."""

    def __init__(self) -> None:
        self._of: dict[str, dict[str, End]] = {}

    def __iter__(self) -> Iterator[End]:
        for workflow in tuple(self._of):
            yield from self.of(workflow)

    def __getitem__(self, lane: Lane) -> End:
        return self._of[lane.workflow][lane.peer]

    def get(self, lane: Lane) -> End | None:
        """Return the link of a lane, if there is one."""
        return self._of.get(lane.workflow, {}).get(lane.peer)

    def of(self, workflow: str) -> list[End]:
        """Return those of a workflow."""
        return list(self._of.get(workflow, {}).values())

    def add(self, end: End) -> None:
        """Add one."""
        self._of.setdefault(end.lane.workflow, {})[end.lane.peer] = end

    def remove(self, end: End) -> None:
        """Remove one."""
        peers = self._of[end.lane.workflow]
        del peers[end.lane.peer]
        if not peers:
            del self._of[end.lane.workflow]


class Post:
    """Sends what links have to send, as datagrams, and wakes them in time.

    Args:
        site: This node.
        broke: Called with a link that gave up its peer.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        transport: Transport,
        seal: Seal,
        site: LocalEnd,
        broke: Callable[[End, Broken], None],
    ) -> None:
        self._scheduler = scheduler
        self._transport = transport
        self._seal = seal
        self._site = site
        self._broke = broke
        self._dirty: dict[Lane, End] = {}
        self._is_due = self._is_closed = False

    def close(self, ends: Iterable[End]) -> None:
        """Send what was touched, and nothing more."""
        self.flush()
        self._is_closed = True
        for end in ends:
            self.drop(end)

    def drop(self, end: End) -> None:
        """Send nothing more on a link."""
        self._dirty.pop(end.lane, None)
        if end.alarm is not None:
            end.alarm.cancel()

    def touch(self, end: End) -> None:
        """Send what a link has to send, after the current calls."""
        self._dirty[end.lane] = end
        self._wake()

    def _wake(self) -> None:
        if self._dirty and not self._is_due:
            self._is_due = True
            self._scheduler.call_soon(self._turn)

    def _turn(self) -> None:
        """Send what the first links have that were touched; the others follow."""
        self._is_due = False
        for lane in list(itertools.islice(self._dirty, TURN_LINKS)):
            if (end := self._dirty.pop(lane, None)) is not None:  # it may be dropped meanwhile
                self._send(end)
        self._wake()

    def flush(self) -> None:
        """Send what was touched, now."""
        dirty, self._dirty = self._dirty, {}
        for end in dirty.values():
            self._send(end)

    def _send(self, end: End) -> None:
        if self._is_closed:
            return
        now, sent_bytes = self._scheduler.now(), 0
        broken = end.link.expire(now)
        if broken is not None:
            self._broke(end, broken)
        while sent_bytes < TURN_BYTES and (letter := end.link.poll(now)) is not None:
            datagram = self._seal.close(self._envelope(end.lane, letter))
            self._transport.send(end.lane, datagram)
            sent_bytes += len(datagram)
        if sent_bytes >= TURN_BYTES:
            self.touch(end)
        self._set_alarm(end, end.link.due_at())

    def _envelope(self, lane: Lane, letter: Letter) -> Envelope:
        site = self._site
        return Envelope(site.cluster, lane.workflow, site.node_id, lane.peer, letter)

    def _set_alarm(self, end: End, due_at: float) -> None:
        """Ring when a link is due, or earlier: an alarm that is too early is set again."""
        if due_at == math.inf or (end.alarm is not None and end.alarm_at <= due_at):
            return
        if end.alarm is not None:
            end.alarm.cancel()
        end.alarm_at = due_at
        delay_s = max(0.0, due_at - self._scheduler.now())
        end.alarm = self._scheduler.call_later(delay_s, lambda: self._ring(end))

    def _ring(self, end: End) -> None:
        end.alarm = None
        self._send(end)
