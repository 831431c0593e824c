"""How long a request has run, told by its log. Pure.

The clocks of two hosts may differ by any time. So each stretch of a log, from ``accepted`` or
``adopted`` on, is measured by the clock of the node that wrote it. That clock goes on while the
node is down. When another node takes the request over, nobody can tell how long it was without a
coordinator, and that time does not count.
"""

from __future__ import annotations

from collections.abc import Iterable

from jobx.actors.request.events import Accepted, Adopted, Event


def spent_s(events: Iterable[Event], node: str, now_at: float) -> float:
    """Return for how many seconds a request has run when a node takes it up.

    Args:
        events: Its log; an event of 1.0.0, without a node, is taken for one of ``node``.
        node: The node that takes it up …
        now_at: … at this time of its clock.
    """
    before_s, owner, began_at, last_at = 0.0, node, now_at, now_at
    for event in events:
        if type(event) is Accepted or (type(event) is Adopted and event.node != owner):
            before_s += max(0.0, last_at - began_at)
            owner, began_at = event.node or node, event.at
        last_at = event.at
    end_at = now_at if owner == node else last_at
    return before_s + max(0.0, end_at - began_at)
