"""What comes of a request while somebody watches it."""

from __future__ import annotations

from jobx.views.base import View
from jobx.views.invocations import SummaryView


class AttemptFailure(View, frozen=True, kw_only=True):
    """Attempts that failed, as one event tells of them."""

    #: The number of the event.
    event: int
    #: The first of so many.
    invocation_id: str
    count: int = 1
    step_name: str | None = None
    attempt: int
    type: str
    message: str
    #: It is not tried again: the request failed by it.
    is_final: bool


class Since(View, frozen=True, kw_only=True):
    """What came of a request since one of its events; ``is_reset``: too much to say."""

    failures: list[AttemptFailure] = []
    hidden: int = 0
    retries: int = 0
    branches_ended: int = 0
    is_reset: bool = False


class ProgressView(View, frozen=True, kw_only=True):
    """How a request stands, and what came since each event that was asked for."""

    summary: SummaryView
    since: list[Since]
    #: Its end is in it: nothing follows.
    is_end: bool = False


class WatchView(View, frozen=True, kw_only=True):
    """How a request stands, and what came since the event that its watcher knows.

    Attributes:
        as_of: The number of the last event that is in it.
        summary: How it stands; None: nothing has come.
        failures: Attempts that failed since, the last of them …
        hidden: … and how many events tell of earlier ones.
        retries: Invocations that are tried again since.
        branches_ended: Mappers that mapped on, whose reducers ended since.
        is_reset: Too much has come since: the watcher begins anew with the summary.
        is_end: Nothing follows.
    """

    as_of: int
    summary: SummaryView | None = None
    failures: list[AttemptFailure] = []
    hidden: int = 0
    retries: int = 0
    branches_ended: int = 0
    is_reset: bool = False
    is_end: bool = False
