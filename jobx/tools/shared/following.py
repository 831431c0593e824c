"""Follows a request through the node, and through its restarts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from jobx.actors.inspection import progress
from jobx.actors.readers.table import answered
from jobx.errors import DeadlineExceeded, JobxError, NodeLost, Unavailable
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

    Without a node it yields the end of a request that has ended.

    Raises:
        NodeUnreachable: The request is open, and no node runs.
        JobxError: Of the node.
    """
    after, gone_at = -1, 0.0
    while True:
        try:
            for view in _asked(call, workflow, request_id, after):
                after, gone_at = view.as_of, 0.0
                yield view
        except _PASSING as error:
            now = time.monotonic()
            if after < 0:
                yield _ended(call, workflow, request_id, error)
                return
            if not gone_at:
                gone_at = now
                render.complain(f"{error}; looking for it again")
            if now - gone_at > AWAY_S:
                raise
            time.sleep(AGAIN_S)
        else:
            return


def _asked(call: Call, workflow: str, request_id: str, after: int) -> Iterator[WatchView]:
    """Yield what comes after an event over one connection, up to the end of the request."""
    is_end = False
    with call.gateway() as gateway:
        while not is_end:
            asked = WatchRequest(
                workflow=workflow, request_id=request_id, after=after, wait_s=WAIT_S
            )
            view = gateway.call(asked, WAIT_S + ANSWER_S)
            after, is_end = view.as_of, view.is_end
            if view.summary is not None:
                yield view


def _ended(call: Call, workflow: str, request_id: str, error: JobxError) -> WatchView:
    """Return the end of a request from the store; raises the error if it has not ended."""
    asked = ReadProgress(workflow=workflow, request_id=request_id, after=(-1,))
    with call.store() as store:
        found = answered(store, asked)
    if not found.is_end:
        raise error
    return progress.view_of(found, found.since[0])
