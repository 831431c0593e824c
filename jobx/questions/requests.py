"""Start, find, await and end requests."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from jobx import views
from jobx.model import Count, RequestState
from jobx.questions.base import Limit, Long, OfRequest, Question, Scalar, Text, WaitSeconds


class KeptArguments(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Packed arguments that are in a blob; see ``handlers/pairs/root_input.py``.

    Attributes:
        size_bytes: Their size.
        checksum: Their CRC-32.
        outline: What they are without what is large, as ``root_input.outline`` packs it. Without
            it, the node reads the blob.
        is_synced: They survive the loss of power; if not, the node sees to it, before it accepts
            their request.
    """

    size_bytes: Count
    checksum: Count
    outline: bytes = b""
    is_synced: bool = True


class SubmitJob(OfRequest[views.Outcome], frozen=True, kw_only=True, tag="submit"):
    """Start a request, or find the one that was started before, and wait for it.

    Attributes:
        job: What is posted to.
        arguments: Packed (``root_input.pack``), or where they are.
        context: Anything that JSON can hold.
        is_blocking: The answer waits for the end, up to ``wait_s``; else until it is durable.
        wait_s: How long the caller waits.
        idempotency_key: The client's own name of the request, or None …
        fingerprint: … and the digest of what was asked for with it.
        time_limit_s: The request fails when it takes longer; None: as the settings say.
        result_writer: What takes the result, where the job lets requests choose.
        was_sent: It was sent before, over a connection that was lost: it may have been accepted.
    """

    job: Text
    arguments: bytes | KeptArguments = b"\x90"
    context: dict[str, Any] = {}
    is_blocking: bool = True
    wait_s: WaitSeconds = 0.0
    idempotency_key: Long | None = None
    fingerprint: Text = ""
    time_limit_s: float | None = None
    result_writer: Text | None = None
    was_sent: bool = False


class AwaitRequest(OfRequest[views.Outcome], frozen=True, kw_only=True, tag="wait"):
    """Wait until a request has ended, or the time is over."""

    wait_s: WaitSeconds = 0.0


class GetRequest(OfRequest[views.RequestView], frozen=True, kw_only=True, tag="request.get"):
    """A request as it stands."""


class ListRequests(Question[views.RequestPage], frozen=True, kw_only=True, tag="request.list"):
    """A page of requests, newest first, behind a cursor; those that fit all that is given.

    Attributes:
        workflow: Their workflow.
        state: Their state.
        after: The cursor ``next`` of the page before, which had the same filter.
        limit: Most of them.
        job: Their job.
        since: Accepted then or later; RFC 3339, or how long ago, such as ``2h``. It stays text, so
            that a cursor can be checked against it.
        until: Accepted earlier than that, in the same form.
        error: Type of their failure.
        search: Arguments that their job names in its ``search``, with their values; needs ``job``.
    """

    workflow: Text
    state: RequestState | None = None
    after: Long | None = None
    limit: Limit
    job: Text | None = None
    since: Text | None = None
    until: Text | None = None
    error: Long | None = None
    search: dict[Text, Scalar] = {}


class CountRequests(Question[views.RequestCounts], frozen=True, kw_only=True, tag="request.count"):
    """How many requests of a workflow, or of one of its jobs, are in each state."""

    workflow: Text
    job: Text | None = None


class GetResult(OfRequest[views.ResultView], frozen=True, kw_only=True, tag="request.result"):
    """Where the result of a request is."""


class CancelRequest(OfRequest[views.RequestView], frozen=True, kw_only=True, tag="request.cancel"):
    """End a request without a result; one that has ended stays as it is."""

    reason: Long


class DeliverResult(OfRequest[views.RequestView], frozen=True, kw_only=True, tag="request.deliver"):
    """Deliver the result of a request once more."""
