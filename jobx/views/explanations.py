"""Why a request is where it is."""

from __future__ import annotations

from jobx.views.base import View
from jobx.views.invocations import Reading
from jobx.views.requests import RequestView


class OpenGroup(View, frozen=True, kw_only=True):
    """Open invocations of a request that wait for the same."""

    #: See ``actors/request/standing.py``, or ``starting`` (no executor can take work), ``store``
    #: (what the request has done is not durable), ``ending``, ``stopping`` (the node is),
    #: ``adoption`` (nobody coordinates the request), ``open`` (of one that has ended).
    cause: str
    kind: str
    step_name: str
    count: int
    #: The one that has waited longest, as far as is known.
    invocation_id: str
    since_at: float | None = None
    until_at: float | None = None
    node_id: str | None = None
    executor: int | None = None
    attempt: int = 1
    error: str | None = None
    #: How long invocations of its version usually take, and how long it may; of one that runs.
    usual_s: float | None = None
    limit_s: float | None = None
    #: Which partition of a reducer it is.
    part: int | None = None
    #: The child that it waits for, or what makes its input again.
    awaits: str | None = None
    says: str
    #: The command that helps, or shows more.
    helps: str | None = None


class ExplainView(View, frozen=True, kw_only=True):
    """Why a request is where it is.

    Each open invocation is in one of the groups, which begin with what others wait for.
    """

    request: RequestView
    says: str
    groups: list[OpenGroup] = []
    #: The command that helps, if there are no groups, or nobody is at them.
    helps: str | None = None
    #: What is wrong with the node.
    troubles: list[str] = []
    #: Set while the log of a request that nobody coordinates is still being read.
    reading: Reading | None = None
