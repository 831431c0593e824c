"""Takes a node out of its cluster: asks it to drain, waits, and says what remains."""

from __future__ import annotations

import time
from typing import Final

from jobx.actors.cluster.members import member_of
from jobx.errors import DeadlineExceeded, InvalidInput, NotFound
from jobx.kv import keys, node_calls
from jobx.kv.leases import Held
from jobx.kv.opening import leases_of
from jobx.kv.store import Store

_LOOK_S: Final = 0.5
#: Most that is counted.
_MOST: Final = 1000


def drain(store: Store, node_id: str, wait_s: float) -> None:
    """Ask a node to drain, and wait until it has ended and others have its requests.

    Raises:
        InvalidInput: It has no bridge, so it obeys no calls.
        NotFound: No such node is registered, and it has nothing open.
        DeadlineExceeded: Something remains; the error says what.
    """
    deadline = time.monotonic() + wait_s
    held = _held(store, node_id)
    if held is not None:
        record = member_of(held).record
        if not record.nsqd:
            reason = "has no bridge.nsqd, so it takes no calls; stop it on its host"
            raise InvalidInput("node", node_id, reason)
        node_calls.call(store, node_id, node_calls.DRAIN, str(record.registration))
    elif not remaining(store, node_id):
        raise NotFound("node", node_id)
    while left := remaining(store, node_id):
        if time.monotonic() >= deadline:
            raise DeadlineExceeded(f"draining node {node_id} ({', '.join(left)})", wait_s)
        time.sleep(_LOOK_S)


def remaining(store: Store, node_id: str) -> list[str]:
    """Return what is left of a node, in words."""
    left = []
    if _held(store, node_id) is not None:
        left.append("it still runs")
    places = {
        "open requests": f"{keys.OPEN}{node_id}/",
        "results to deliver": keys.undelivered(node_id),
    }
    for words, prefix in places.items():
        count = len(store.range(prefix, limit=_MOST))
        if count:
            left.append(f"{words}: {count}")
    return left


def _held(store: Store, node_id: str) -> Held | None:
    holders = leases_of(store).watch(keys.node("")).next(0.0) or {}
    return holders.get(keys.node(node_id))
