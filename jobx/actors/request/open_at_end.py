"""What was open when a request ran out of time: kept in the notes of the event that ended it.

Later nobody could tell: the log does not say what was queued, and what an executor was at.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, get_args

from jobx.actors.request.branches import ROOT
from jobx.actors.request.events import Failed, Kind
from jobx.actors.request.standing import Cause, Group

#: The note that has it.
OPEN: Final = "open"
_CAUSES: Final = frozenset(get_args(Cause))
_KINDS: Final = frozenset(get_args(Kind))


def open_then(groups: Iterable[Group], now: float) -> list[list[Any]]:
    """Return groups as plain values for the notes of an event; ages instead of instants."""
    return [
        [
            *(one.cause, one.kind, one.step, one.count, one.vertex),
            round(now - one.since, 3) if one.since is not None else None,
            *(one.node, one.executor, one.error),
        ]
        for one in groups
    ]


def groups_then(failed: Failed) -> list[Group]:
    """Return the groups in an event, with ages as ``since``; what is unknown is left out."""
    return [group for wire in failed.notes.get(ROOT, {}).get(OPEN, ()) if (group := _group(wire))]


def _group(wire: Any) -> Group | None:
    try:
        cause, kind, step, count, vertex, age_s, node, executor, error = wire
    except (TypeError, ValueError):
        return None
    if cause not in _CAUSES or kind not in _KINDS:
        return None
    return Group(
        cause, kind, step, count, vertex, since=age_s, node=node, executor=executor, error=error
    )
