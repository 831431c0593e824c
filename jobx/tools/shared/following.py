"""Follows a request through the node, and through its restarts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from jobx.actors.inspection.folding import progress
from jobx.actors.readers.table import answered
from jobx.errors import DeadlineExceeded, NodeLost, Unavailable
from jobx.kv.requests import request_entity
from jobx.questions import ReadProgress, WatchRequest
from jobx.tools.shared import render
from jobx.tools.shared.command import Call
from jobx.tools.shared.gateway_client import ANSWER_S
from jobx.views import WatchView

#: How long the node may take to say that nothing has happened.
WAIT_S: Final = 15.0
#: How long a node may be away before its followers give up, and how often they look for one.
AWAY_S: Final = 60.0
AGAIN_S: Final = 0.5

_PASSING: Final = (Unavailable, NodeLost, DeadlineExceeded)


def follow(call: Call, workflow: str, request_id: str) -> Iterator[WatchView]:
    """Yield how a request stands and what came since, up to its end.

    Without a node, and after one that has gone, it yields the end of a request that has ended.

    Raises:
        NodeUnreachable: The request is open, and no node runs.
        JobxError: Of the node.
    """
    after, gone_at = -1, 0.0
    while True:
        try:
            for view in _asked(call, workflow, request_id, after):
                after, gone_at = view.as_of, 0.0
                if view.summary is not None:
                    yield view
        except _PASSING as error:
            now, end = time.monotonic(), _end(call, workflow, request_id, after)
            if end is not None:
                yield end
                return
            if after < 0:
                raise
            if not gone_at:
                gone_at = now
                render.complain(f"{error}; looking for it again")
            if now - gone_at > AWAY_S:
                raise
            time.sleep(AGAIN_S)
        else:
            return


def _asked(call: Call, workflow: str, request_id: str, after: int) -> Iterator[WatchView]:
    """Yield what comes after an event over one connection, also nothing, up to the end."""
    is_end = False
    with call.gateway() as gateway:
        while not is_end:
            asked = WatchRequest(
                workflow=workflow, request_id=request_id, after=after, wait_s=WAIT_S
            )
            view = gateway.call(asked, WAIT_S + ANSWER_S)
            after, is_end = view.as_of, view.is_end
            yield view


def _end(call: Call, workflow: str, request_id: str, after: int) -> WatchView | None:
    """Return what came after an event from the store; None if no end of the request is there."""
    asked = ReadProgress(workflow=workflow, request_id=request_id, after=(after,))
    with suppress(Unavailable), call.store() as store:  # the store may be away, too
        if request_entity.get(store, workflow, request_id).is_done:
            found = answered(store, asked)
            return progress.view_of(found, found.since[0])
    return None
