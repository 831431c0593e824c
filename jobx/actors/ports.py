"""The ports of a node, which actors find in ``self.node``; the system base sets it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from thespian.actors import ActorAddress

from jobx import model
from jobx.actors.budget import OpenBudget
from jobx.actors.left_open import LeftOpen
from jobx.actors.messages import Pull, RequestKey, Run
from jobx.actors.metrics import Metrics
from jobx.actors.notification import Notification
from jobx.actors.request.capabilities import missing_everywhere
from jobx.actors.request.standing import Busy, Whereabouts
from jobx.config import Settings
from jobx.kv.requests.lives import OpenRequest
from jobx.kv.store import Write

#: A request that has begun waits so long for a node that is gone, with what it offered.
GONE_S: Final = 60.0

if TYPE_CHECKING:
    from jobx.kv.blobs import BlobFolder


class Log(Protocol):
    """Appends to the logs of requests; many appends share one sync to disk."""

    def append(
        self,
        key: RequestKey,
        owner: ActorAddress,
        number: int,
        writes: Sequence[Write],
        urgent: bool,
        *,
        first: Callable[[], object] | None = None,
    ) -> None:
        """Write event ``number`` and its writes; ``owner`` gets Committed or CommitRefused.

        An append that is not urgent may wait a moment for others. Appends of one request become
        durable together or in order. What must be done ``first`` is called in a thread, and this
        append and those after it wait for it; a new request is refused if it fails.
        """

    def forget(self, key: RequestKey) -> None:
        """Drop unwritten appends of a request whose log belongs to somebody else."""

    def read(self, key: RequestKey, reply_to: ActorAddress, *, has_events: bool = True) -> None:
        """Read a request's log for a new owner; ``reply_to`` gets LogRead.

        Appends of the previous owner are written first, or refused. An owner that only ends the
        request needs no events.
        """

    def mark(self, requests: Sequence[OpenRequest]) -> None:
        """Mark open requests, before any read that is asked for later."""


class Executors(Protocol):
    """Runs work frames in executor processes."""

    @property
    def slots(self) -> int:
        """Executors that this node has or may use."""

    def run(self, work: Run, owner: ActorAddress) -> None:
        """Run a work frame as soon as an executor has room; ``owner`` gets Ran or Lost."""

    def pull(self, pull: Pull, owner: ActorAddress) -> None:
        """Pull a suspended mapper of ``owner``, which gets Ran or Lost."""

    def discard(self, key: RequestKey, vertex: int, owner: ActorAddress) -> None:
        """Close a suspended mapper of ``owner``."""

    def places(
        self, owners: Collection[ActorAddress]
    ) -> dict[tuple[ActorAddress, int], Whereabouts]:
        """Return where the work of owners is that has been sent, by owner and ticket."""

    def busy(self) -> dict[RequestKey, Busy]:
        """Return the requests that executors are at."""

    def abandon(self, key: RequestKey, owner: ActorAddress) -> None:
        """Forget everything of an owner: its queued work, suspended mappers and running work.

        Running work gets a moment to end by itself; then its executor is replaced.
        """


def _nobody(_workflow: str, _gone_s: float) -> tuple[frozenset[str], ...]:
    """Name no other nodes."""
    return ()


def _ignore(_: object) -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class Services:
    """The adapters of a node.

    Attributes:
        now: Monotonic seconds.
        now_at: The wall clock, for people.
        gateway: Receives the ends of requests.
        notify: Sends a notification.
        deliver: Delivers the result of a finished request, if it has a destination.
        budget: The memory budget of open requests.
        left: Requests that this node leaves to a newer JobX.
        others: What each other node offers that runs a workflow, or did so many seconds ago; None
            while it is not known who they are.
        is_lost: Tells whether a node is lost, so that others may adopt its requests.
        metrics: What this node counts.
        trace: Sends the spans of an ended request, if its caller wants them.
        own: The capabilities that this node offers.
    """

    node_id: str
    incarnation: int
    settings: Settings
    log: Log
    executors: Executors
    blobs: BlobFolder
    now: Callable[[], float]
    now_at: Callable[[], float]
    gateway: ActorAddress
    notify: Callable[[Notification], None] = _ignore
    deliver: Callable[[RequestKey], None] = _ignore
    budget: OpenBudget = field(default_factory=lambda: OpenBudget(sys.maxsize))
    left: LeftOpen = field(default_factory=LeftOpen)
    others: Callable[[str, float], Collection[frozenset[str]] | None] = _nobody
    is_lost: Callable[[str], bool] = lambda _: True
    metrics: Metrics = field(default_factory=Metrics)
    ended_long: Callable[[RequestKey], None] = _ignore
    trace: Callable[[model.Request], None] = _ignore
    own: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        """Note what each request is compared with."""
        object.__setattr__(self, "own", frozenset(self.settings.capabilities))

    def offers(self, required: Iterable[str]) -> bool:
        """Whether this node offers all that is required."""
        return self.own.issuperset(required)

    def missing(
        self, workflow: str, required: Collection[str], *, is_begun: bool = False
    ) -> str | None:
        """Return what no node offers; None if one offers all that is required.

        If the request has begun, nodes that may soon be back count, too.
        """
        if self.own.issuperset(required):
            return None
        others = self.others(workflow, GONE_S if is_begun else 0.0)
        if others is None and is_begun:
            return None
        return missing_everywhere(required, (self.own, *(others or ())))
