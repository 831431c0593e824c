"""What actors find behind ``self.node``: the adapters of a node, set by the base that made them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from thespian.actors import ActorAddress

from jobx.actors.budget import OpenBudget
from jobx.actors.messages import Pull, RequestKey, Run
from jobx.actors.notification import Notification
from jobx.config import Settings
from jobx.kv.requests.lives import OpenRequest
from jobx.kv.store import Write

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
    ) -> None:
        """Write what belongs to event ``number``; ``owner`` hears Committed or CommitRefused.

        What is not urgent may wait a moment for company. Appends of one request become
        durable together or in order.
        """

    def forget(self, key: RequestKey) -> None:
        """Drop what is not written yet of a request whose log belongs to somebody else."""

    def read(self, key: RequestKey, reply_to: ActorAddress, *, has_events: bool = True) -> None:
        """Read a request's log for a new owner; ``reply_to`` hears LogRead.

        What the owner before appended is written first, or refused. Who ends the request needs
        no events.
        """

    def mark(self, requests: Sequence[OpenRequest]) -> None:
        """Mark open requests, before anything of them is read that is asked for later."""


class Executors(Protocol):
    """Runs work frames in executor processes."""

    @property
    def slots(self) -> int:
        """Executors that this node has."""

    def run(self, work: Run, owner: ActorAddress) -> None:
        """Run a work frame as soon as an executor has room; ``owner`` hears Ran or Lost."""

    def pull(self, pull: Pull, owner: ActorAddress) -> None:
        """Ask the executor that keeps a mapper of ``owner``; it hears Ran or Lost."""

    def discard(self, key: RequestKey, vertex: int, owner: ActorAddress) -> None:
        """Close a suspended mapper of ``owner``."""

    def abandon(self, key: RequestKey, owner: ActorAddress) -> None:
        """Forget all of an owner: its queued work, its suspended mappers, its running work.

        Running work gets a moment to end by itself, then its executor is replaced.
        """


def _ignore(_: object) -> None:
    """Do nothing: nobody listens."""


@dataclass(frozen=True, slots=True)
class Services:
    """The adapters of a node.

    Attributes:
        now: Monotonic seconds.
        now_at: The wall clock, for what people read.
        gateway: Hears how requests end that nobody in particular asked about.
        notify: Tells people of something.
        deliver: Takes the result of a finished request to where it goes, if it goes anywhere.
        budget: What open requests may hold in memory.
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
