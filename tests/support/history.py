"""Finished requests as a node leaves them, written in bulk: a store with a past."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final, TypeAlias

import msgspec

from jobx import values
from jobx.actors.request.events import Accepted, Done, Finished, to_record
from jobx.kv.requests import event_log, request_entity
from jobx.kv.store import Store, Write
from jobx.model import Counts, Failure, Request
from jobx.payload import Payload, pack_offsets

Unit: TypeAlias = list[Write]

_COMMIT: Final = 2000


def keep(
    store: Store,
    names: tuple[str, str],
    plan: str,
    count: int,
    *,
    first_at: float,
    every_s: float = 0.01,
    failed_every: int = 100,
    search: tuple[str, ...] = (),
) -> None:
    """Write finished requests, one behind the other.

    Args:
        store: Where.
        names: Their workflow and their job.
        plan: The digest of their plan.
        count: How many.
        first_at: When the first one was accepted, by the wall clock.
        every_s: How long after it each next one was.
        failed_every: Every so many-th has failed.
        search: Digests of the arguments that every fourth can be found by.
    """
    units = (
        _writes(
            *(names, plan, first_at + number * every_s, number, number % failed_every == 0),
            search=search if number % 4 == 0 else (),
        )
        for number in range(count)
    )
    for chunk in _chunks(units):
        store.commit([write for unit in chunk for write in unit])


def _chunks(units: Iterator[Unit]) -> Iterator[list[Unit]]:
    while chunk := list(islice(units, _COMMIT)):
        yield chunk


def _writes(
    names: tuple[str, str],
    plan: str,
    at: float,
    number: int,
    is_failed: bool,
    *,
    search: tuple[str, ...] = (),
) -> Unit:
    """Return what a small request that mapped and reduced once leaves."""
    workflow, job = names
    request_id = request_entity.new_id(at, number.to_bytes(10, "big"))
    failure = Failure(kind="author", type="ValueError", message="no such word")
    result = () if is_failed else (_pairs([["total", number]]),)
    request = Request(
        workflow_name=workflow,
        request_id=request_id,
        job_name=job,
        invocation_id="m0",
        state="failed" if is_failed else "succeeded",
        is_done=True,
        context={"requester_ip": "127.0.0.1"},
        accepted_at=at,
        finished_at=at + 0.005,
        failed_invocation_id="m0" if is_failed else None,
        failure=failure if is_failed else None,
        counts=Counts(mapped=1, finished=1),
        result=None if is_failed else result,
        result_pairs=None if is_failed else 1,
        search=search or msgspec.UNSET,
    )
    state = request.state
    events = (
        Accepted(at, job, "first", plan, _pairs([["numbers", [number, 1, 2, 3]]]), 3600.0, 1 << 20),
        Done(at + 0.004, "map", 0, 0, 1, "reduced", result, durations=pack_offsets([100, 0, 50])),
        Finished(at + 0.005, state, failure if is_failed else None, result),
    )
    return [
        *request_entity.accept_writes(request, "local"),
        *request_entity.finish_writes(request, "local", plan, len(events)),
        *(
            event_log.event_write(workflow, request_id, n, to_record(event))
            for n, event in enumerate(events)
        ),
    ]


def _pairs(pairs: list[list[object]]) -> Payload:
    items = [values.pack(pair) for pair in pairs]
    body = b"".join(items)
    return Payload(len(items), len(body), body, offsets=pack_offsets(list(map(len, items))))
