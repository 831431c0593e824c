"""Does what this node is asked to do through the store; see ``kv/node_calls.py``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from jobx.actors.bridge.ends import LinkState
from jobx.actors.cluster.membership import Membership
from jobx.kv import node_calls
from jobx.kv.store import Store
from jobx.questions import GetNode, GetReadiness, Question
from jobx.views import LinkView, NodeReport

#: How often a node looks for calls.
LOOK_S: Final = 1.0
#: How long the loop may take for a report.
REPORT_S: Final = 2.0
_LOG: Final = logging.getLogger(__name__)


class Calls:
    """Looks for calls, and obeys them. ``look`` blocks.

    Args:
        store: The store.
        node_id: This node.
        membership: Its part in the cluster.
        ask: Asks this node a question, on the loop.
        drain: Called on the loop when the node is to drain and end.
    """

    def __init__(
        self,
        store: Store,
        node_id: str,
        membership: Membership,
        ask: Callable[[Question[Any]], Awaitable[Any]],
        drain: Callable[[], None],
    ) -> None:
        self._store = store
        self._node_id = node_id
        self._membership = membership
        self._ask = ask
        self._drain = drain
        self._loop = asyncio.get_running_loop()

    def look(self) -> None:
        """Do what was asked since the last look."""
        found = node_calls.calls(self._store, self._node_id)
        if node_calls.REPORT in found:
            node_calls.report(self._store, self._node_id, msgspec.json.encode(self._report()))
        if node_calls.DRAIN in found:
            node_calls.withdraw(self._store, self._node_id, node_calls.DRAIN)
            if found[node_calls.DRAIN] == str(self._membership.number):
                _LOG.info("the node drains, because it was asked to in the store")
                self._loop.call_soon_threadsafe(self._drain)

    def _report(self) -> NodeReport:
        future = asyncio.run_coroutine_threadsafe(self._made(), self._loop)
        try:
            return future.result(REPORT_S)
        except TimeoutError:
            future.cancel()
            return NodeReport(trouble=f"its loop did not answer within {REPORT_S:g} s")

    async def _made(self) -> NodeReport:
        ready = await self._ask(GetReadiness())
        return NodeReport(
            node=await self._ask(GetNode()),
            trouble=ready.trouble,
            notice=ready.notice,
            links=[link_view(state) for state in self._membership.states()],
            dropped=self._membership.dropped,
        )


def link_view(state: LinkState) -> LinkView:
    """Return the view of a link."""
    return LinkView(
        peer=state.lane.peer,
        workflow=state.lane.workflow,
        is_up=state.is_up,
        children=state.children,
        hosted=state.hosted,
        unacked_bytes=state.backlog_bytes,
        resent=state.resent,
        duplicates=state.duplicates,
        stale=state.stale,
        breaks=state.breaks,
    )
