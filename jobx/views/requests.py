"""Requests, their results, and how many there are."""

from __future__ import annotations

from typing import Any

from jobx.model import Counts, Delivery, Failure, RequestState
from jobx.views.base import View


class RequestView(View, frozen=True, kw_only=True):
    """One request as it stands."""

    request_id: str
    workflow_name: str
    job_name: str
    state: RequestState
    is_blocking: bool
    accepted_at: float
    finished_at: float | None = None
    counts: Counts = Counts()
    failure: Failure | None = None
    result_pairs: int | None = None
    result_bytes: int | None = None
    context: dict[str, Any] = {}
    idempotency_key: str | None = None
    #: The node that coordinates it, or did at its end.
    coordinator: str | None = None
    #: Digest of the plan: the steps and handler versions that it started with.
    plan: str | None = None
    #: Capabilities that no node offers, and its work waits for.
    waits_for: tuple[str, ...] = ()
    #: Why the node that was asked leaves it open, neither continuing nor ending it.
    left_open: str | None = None
    #: Why this is what the store has, with counts of 0, and not what its coordinator knows.
    as_stored: str | None = None
    #: Where else the result was sent.
    deliveries: list[Delivery] = []


class RequestPage(View, frozen=True, kw_only=True):
    """A page of requests, newest first. ``next`` is the cursor of the page behind, or None.

    They are as the store has them: those that run have counts of 0. A page may have fewer than
    were asked for, or none, and a cursor.

    Attributes:
        requests: The requests.
        next: The cursor of the page behind.
        is_partial: It ends early since looking has a limit; more may follow behind ``next``.
        unindexed: Why requests of the past may be missing; None: none are.
        unreadable: What is not in it though the store has it, and why.
    """

    requests: list[RequestView]
    next: str | None = None
    is_partial: bool = False
    unindexed: str | None = None
    unreadable: list[str] = []


class JobCounts(View, frozen=True, kw_only=True):
    """How many requests of a job are in each state; those that ended as long as they are kept."""

    job_name: str
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0


class RequestCounts(View, frozen=True, kw_only=True):
    """How many requests of a workflow are in each state, by job.

    Attributes:
        jobs: Jobs that have requests, by name.
        total: Their sum; its ``job_name`` is empty.
        unindexed: Why requests of the past may not be counted; None: all are.
    """

    jobs: list[JobCounts]
    total: JobCounts
    unindexed: str | None = None


class ResultView(View, frozen=True, kw_only=True):
    """Where the pairs of a result are: payload wires, and the folder of those in blobs."""

    request_id: str
    pairs: int
    size_bytes: int
    payloads: list[Any]
    blob_dir: str


class Outcome(View, frozen=True, kw_only=True):
    """What a submit or a wait gives: a finished request, or one still running."""

    request: RequestView
    result: ResultView | None = None
    #: The result goes there: a blocking caller is told so instead of being given it.
    delivery: Delivery | None = None
    #: The same Idempotency-Key was seen before: this is the first request.
    replayed: bool = False
