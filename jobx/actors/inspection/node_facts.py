"""What a node knows besides a request that explains why the request is where it is."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:  # a reader, which is started for a question, needs none of them
    from jobx.actors.executors.processes import Starts
    from jobx.actors.log_writer import Outstanding
    from jobx.actors.messages import RequestKey

#: A peer that has work of this node answers more often than this.
SILENT_S: Final = 2.5


class PeerFacts(Struct, frozen=True):
    """How another node is that has work of this one.

    Attributes:
        is_member: It is registered.
        heard_at: When it answered last, monotonic.
        undelivered: Packets that it has not acknowledged.
        is_reached: The server of its queues is connected.
        given_up_at: When it is given up if it stays silent, monotonic.
    """

    is_member: bool
    heard_at: float
    undelivered: int
    is_reached: bool
    given_up_at: float


class NodeFacts(Struct, frozen=True):
    """A node at an instant.

    Attributes:
        now: That instant, monotonic seconds …
        now_at: … and by the wall clock.
        troubles: What is wrong with the node.
        outstanding: The commit that has not ended.
        free: The data folder and its free bytes, in words; empty: not asked.
        starts: Why no executor can take work now.
        abandoned: Executors that are still at work of a request that has ended, each with the
            instant at which it is killed, monotonic.
        peer: Returns how another node is, for a workflow; None: this one is alone.
    """

    now: float = 0.0
    now_at: float = 0.0
    troubles: tuple[str, ...] = ()
    outstanding: Outstanding | None = None
    free: str = ""
    starts: Starts | None = None
    abandoned: Callable[[RequestKey], list[tuple[int, float]]] | None = None
    peer: Callable[[str, str], PeerFacts] | None = None

    def wall(self, instant: float) -> float:
        """Return the wall-clock time of a monotonic instant."""
        return instant - self.now + self.now_at

    def said(self, instant: float) -> str:
        """Return a monotonic instant for people."""
        return said_at(self.wall(instant))

    def is_silent(self, peer: PeerFacts) -> bool:
        """Whether a peer has not answered for longer than it should."""
        return self.now - peer.heard_at > SILENT_S


def said_at(wall_at: float) -> str:
    """Return a wall-clock instant for people, in UTC; its seconds since 1970 if it is no date."""
    try:
        at = datetime.datetime.fromtimestamp(wall_at, datetime.UTC)
    except (OverflowError, OSError, ValueError):  # a clock that was far off
        return f"{wall_at:g} s after 1970"
    return at.isoformat(" ", "seconds").replace("+00:00", "Z")
