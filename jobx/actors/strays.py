"""Open requests that nobody coordinates.

When a node dies, what it had sent to a store on other machines may arrive there after the next node
has looked for open requests. And an event that arrives so late refuses the one that a coordinator
wrote in its place, as if somebody else had the request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from jobx.actors.messages import RequestKey
from jobx.kv.requests import deliveries, lives
from jobx.kv.store import Store

#: Deliveries that one look reads.
MOST: Final = 1000


class Strays:
    """Finds requests of a node that were open and unknown at two looks in a row.

    Args:
        store: The store.
        node_id: The node.
        is_known: Whether a request is open on the node; may be called from any thread.

    Attributes:
        found: What the last look found.
        opened: All open requests of the node, as that look saw them.
        undelivered: Deliveries of the node, as that look saw them; not more than ``MOST``.
    """

    def __init__(self, store: Store, node_id: str, is_known: Callable[[RequestKey], bool]) -> None:
        self.found: tuple[RequestKey, ...] = ()
        self.opened: frozenset[RequestKey] = frozenset()
        self.undelivered: tuple[RequestKey, ...] = ()
        self._store = store
        self._node_id = node_id
        self._is_known = is_known
        self._unknown: frozenset[RequestKey] = frozenset()

    def look(self) -> None:
        """Look once; blocks."""
        opened = lives.opened(self._store, self._node_id)
        self.opened = frozenset(RequestKey(one.workflow, one.request_id) for one in opened)
        unknown = frozenset(key for key in self.opened if not self._is_known(key))
        self.found = tuple(sorted(unknown & self._unknown))
        self._unknown = unknown
        sent = deliveries.undelivered(self._store, self._node_id, MOST)
        self.undelivered = tuple(RequestKey(*names) for names in sent)
