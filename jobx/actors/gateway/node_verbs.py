"""The verbs about the node itself."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from thespian.actors import ActorAddress

from jobx import __version__, is_compiled
from jobx.actors.executors.pool import ExecutorPool
from jobx.actors.gateway.server import Table
from jobx.actors.inspection import actor_views
from jobx.actors.left_open import LeftOpen
from jobx.actors.readiness import Readiness
from jobx.actors.runtime.system import LoopSystemBase
from jobx.config import Settings
from jobx.questions import GetActorTree, GetNode, GetReadiness, ListNotifications
from jobx.system import processes
from jobx.views import ActorTree, NodeView, NotificationPage, PeerView, ReadinessView

#: Most actors in one answer, which takes about 10 ms of the loop.
MAX_ACTORS: Final = 1000


@dataclass(frozen=True, slots=True)
class NodeVerbs:
    """Shows the state of a node.

    Attributes:
        node_id: The node.
        settings: Its settings.
        base: Its actors.
        supervisor: The root of its actors.
        executors: Its executors.
        left: The requests that it leaves open.
        readiness: Whether it works.
        state: Returns whether it starts, runs or drains.
        members: Returns the nodes of its cluster.
        notifications: Returns what was told to people.
        born: When it started, monotonic.
    """

    node_id: str
    settings: Settings
    base: LoopSystemBase
    supervisor: ActorAddress
    executors: ExecutorPool
    left: LeftOpen
    readiness: Readiness
    state: Callable[[], str]
    members: Callable[[], list[PeerView]]
    notifications: Callable[[], NotificationPage]
    born: float = field(default_factory=time.monotonic)

    def table(self) -> Table:
        """Return what answers each kind of question."""
        return {
            GetReadiness: self.ready,
            GetNode: self.status,
            GetActorTree: self.actors,
            ListNotifications: self.told,
        }

    async def ready(self, _: GetReadiness) -> ReadinessView:
        """Return the state of the node, and its problems."""
        trouble = await self.readiness.trouble()
        return ReadinessView(state=self.state(), trouble=trouble, notice=self.left.notice)

    async def status(self, _: GetNode) -> NodeView:
        """Return the view of the node."""
        return NodeView(
            node_id=self.node_id,
            version=__version__,
            is_compiled=is_compiled(),
            pid=os.getpid(),
            state=self.state(),
            uptime_s=time.monotonic() - self.born,
            data_dir=str(self.settings.data_dir),
            capabilities=list(self.settings.capabilities),
            open_requests=self.base.count_children(self.supervisor),
            queued_batches=self.executors.queued,
            dead_letters=self.base.counters().dead_letters,
            rss_bytes=processes.rss_bytes(),
            executors=self.executors.views(),
            members=self.members(),
        )

    async def told(self, _: ListNotifications) -> NotificationPage:
        """Return the last notifications, and how the channels are."""
        return self.notifications()

    async def actors(self, asked: GetActorTree) -> ActorTree:
        """Return the oldest live actors as a tree."""
        records = self.base.tree(min(asked.limit or MAX_ACTORS, MAX_ACTORS))
        return ActorTree(actors=actor_views.actor_trees(records))
