"""The verbs about the node itself."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from thespian.actors import ActorAddress

from jobx import __version__, is_compiled
from jobx.actors.executors.pool import ExecutorPool
from jobx.actors.inspection import view_builders
from jobx.actors.readiness import Readiness
from jobx.actors.runtime.system import LoopSystemBase
from jobx.config import Settings
from jobx.questions import GetNode, GetReadiness, ListActors, Question
from jobx.system import processes
from jobx.views import ActorTree, NodeView, ReadinessView, View

#: Most actors in one answer, which takes about 10 ms of the loop.
MAX_ACTORS: Final = 1000


class NodeVerbs:
    """Shows the state of a node.

    Args:
        node_id: The node.
        settings: Its settings.
        base: Its actors.
        supervisor: The root of its actors.
        executors: Its executors.
        readiness: Whether it works.
        state: Returns whether it starts, runs or drains.
    """

    def __init__(
        self,
        node_id: str,
        settings: Settings,
        *,
        base: LoopSystemBase,
        supervisor: ActorAddress,
        executors: ExecutorPool,
        readiness: Readiness,
        state: Callable[[], str],
    ) -> None:
        self._node_id = node_id
        self._settings = settings
        self._base = base
        self._supervisor = supervisor
        self._executors = executors
        self._readiness = readiness
        self._state = state
        self._born = time.monotonic()

    async def ready(self, _: GetReadiness) -> ReadinessView:
        """Return the state of the node, and its problems."""
        return ReadinessView(state=self._state(), trouble=await self._readiness.trouble())

    async def status(self, _: GetNode) -> NodeView:
        """Return the view of the node."""
        return NodeView(
            node_id=self._node_id,
            version=__version__,
            is_compiled=is_compiled(),
            pid=os.getpid(),
            state=self._state(),
            uptime_s=time.monotonic() - self._born,
            data_dir=str(self._settings.data_dir),
            capabilities=list(self._settings.node.capabilities),
            open_requests=self._base.count_children(self._supervisor),
            queued_batches=self._executors.queued,
            dead_letters=self._base.counters().dead_letters,
            rss_bytes=processes.rss_bytes(),
            executors=self._executors.views(),
        )

    async def actors(self, asked: ListActors) -> ActorTree:
        """Return the oldest live actors as a tree."""
        records = self._base.tree(min(asked.limit or MAX_ACTORS, MAX_ACTORS))
        return ActorTree(actors=view_builders.actor_trees(records))


NODE_VERBS: Final[dict[type[Question[Any]], Callable[[NodeVerbs, Any], Awaitable[View]]]] = {
    GetReadiness: NodeVerbs.ready,
    GetNode: NodeVerbs.status,
    ListActors: NodeVerbs.actors,
}
