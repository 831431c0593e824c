"""Builds views of requests and actors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from jobx import model
from jobx.errors import (
    EntryDamaged,
    FormUnknown,
    InvalidInput,
    NotEnded,
    NotFound,
    RequestCancelled,
    RequestFailed,
    quote,
)
from jobx.kv.entities.entities import Entities
from jobx.kv.requests import (
    deliveries,
    indexing,
    request_counts,
    request_entity,
    request_filter,
    request_pages,
)
from jobx.kv.requests.request_filter import make_filter
from jobx.kv.store import Store
from jobx.questions import CountRequests, ListRequests
from jobx.views import (
    JobCounts,
    Outcome,
    RequestCounts,
    RequestPage,
    RequestView,
    ResultView,
)


def request_view(
    request: model.Request,
    sent: Sequence[model.Delivery],
    left_open: FormUnknown | None = None,
    as_stored: str | None = None,
) -> RequestView:
    """Return the view of a request, with its delivery, and with two of its attributes."""
    result = request.result
    return RequestView(
        request_id=request.request_id,
        workflow_name=request.workflow_name,
        job_name=request.job_name,
        state=request.state,
        is_blocking=request.is_blocking,
        accepted_at=request.accepted_at,
        finished_at=request.finished_at,
        counts=request.counts,
        failure=request.failure,
        result_pairs=request.result_pairs,
        result_bytes=None if result is None else sum([item.size_bytes for item in result]),
        context=request.context,
        idempotency_key=request.idempotency_key,
        coordinator=request.coordinator,
        plan=request.plan,
        waits_for=request.waits_for,
        left_open=None if left_open is None else str(left_open),
        as_stored=as_stored,
        deliveries=list(sent),
    )


def page(
    store: Store,
    asked: ListRequests,
    now_at: float,
    damaged: list[EntryDamaged] | None = None,
) -> RequestPage:
    """Return a page of requests with their deliveries, newest first.

    Args:
        store: The store.
        asked: Which requests.
        now_at: The wall clock, for times that are so long ago.
        damaged: Collects the errors of unreadable requests; the page has their texts as well.

    Raises:
        NotFound: There is no such workflow.
        InvalidInput: The question is malformed, or its cursor is of another filter.
    """
    Entities(store).get(model.Workflow, asked.workflow)
    wanted = make_filter(
        asked.workflow,
        now_at=now_at,
        state=asked.state,
        job=asked.job,
        since=asked.since,
        until=asked.until,
        error=asked.error,
        search=asked.search,
    )
    _check_search(store, asked)
    after = None if asked.after is None else request_filter.after(asked.after, wanted.tag)
    damaged = [] if damaged is None else damaged
    found, behind = request_pages.page(
        store, asked.workflow, wanted, after=after, limit=asked.limit, damaged=damaged
    )
    views = [request_view(one, _delivery(store, one, damaged)) for one in found]
    return RequestPage(
        requests=views,
        next=None if behind is None else request_filter.cursor(behind, wanted.tag),
        is_partial=behind is not None and len(views) < asked.limit,
        unindexed=indexing.missing(store) if _needs_indexes(asked) else None,
        unreadable=[str(error) for error in damaged],
    )


def _delivery(
    store: Store, request: model.Request, damaged: list[EntryDamaged]
) -> list[model.Delivery]:
    try:
        return deliveries.read(store, request)
    except EntryDamaged as error:
        damaged.append(error)
        return []


def _check_search(store: Store, asked: ListRequests) -> None:
    """Check that the job names the arguments that are searched for; one that is gone may have."""
    if not asked.search or asked.job is None:
        return
    try:
        names = Entities(store).get(model.Job, asked.workflow, asked.job).search
    except NotFound:
        return
    for name in asked.search:
        if name not in names:
            known = ", ".join(names) or "none"
            reason = f"job {asked.job} does not name it in its search; it names {known}"
            raise InvalidInput("search", quote(name), reason)


def _needs_indexes(asked: ListRequests) -> bool:
    return asked.job is not None or asked.error is not None


def counts(store: Store, asked: CountRequests) -> RequestCounts:
    """Return how many requests are in each state, by job.

    Raises:
        NotFound: There is no such workflow.
    """
    Entities(store).get(model.Workflow, asked.workflow)
    found = request_counts.read(store, asked.workflow, asked.job)
    for job, number in request_entity.running(store, asked.workflow).items():
        if asked.job in (None, job):
            found.setdefault(job, Counter())["running"] = number
    total = sum(found.values(), Counter[str]())
    return RequestCounts(
        jobs=[_job_counts(job, found[job]) for job in sorted(found) if found[job]],
        total=_job_counts("", total),
        unindexed=indexing.missing(store),
    )


def _job_counts(job: str, states: Mapping[str, int]) -> JobCounts:
    return JobCounts(
        job_name=job,
        running=states.get("running", 0),
        succeeded=states.get("succeeded", 0),
        failed=states.get("failed", 0),
        cancelled=states.get("cancelled", 0),
    )


def result_view(request: model.Request, blob_dir: str) -> ResultView:
    """Return where the result of a request is.

    Raises:
        NotEnded: The request still runs.
        RequestFailed: It ended without a result.
    """
    if request.result is None:
        if not request.is_done:
            raise NotEnded(request.request_id)
        failure = request.failure
        if failure is not None and request.state == "cancelled":
            raise RequestCancelled(request.request_id, failure.message)
        kind = failure.type if failure else "Unknown"
        raise RequestFailed(request.request_id, kind, failure.message if failure else "")
    return ResultView(
        request_id=request.request_id,
        pairs=request.result_pairs or 0,
        size_bytes=sum([item.size_bytes for item in request.result]),
        payloads=[list(item.to_wire()) for item in request.result],
        blob_dir=blob_dir,
    )


def outcome(
    request: model.Request,
    blob_dir: str,
    as_stored: str | None = None,
    sent: Sequence[model.Delivery] = (),
) -> Outcome:
    """Return the answer to a submit or a wait; see ``request_view``.

    A request that ended just now has a delivery that has not begun.
    """
    if request.destination is not None and not sent:
        first = deliveries.first(request)
        sent = [first] if first is not None else ()
    return Outcome(
        request=request_view(request, sent, as_stored=as_stored),
        result=result_view(request, blob_dir) if request.result is not None else None,
        delivery=sent[0] if sent else None,
    )


def plain(view: msgspec.Struct) -> dict[str, Any]:
    """Return a view or an entity as a map of plain values."""
    fields: dict[str, Any] = msgspec.to_builtins(view, builtin_types=(bytes,))
    return fields
