"""The table of a timeline: what a page says of it without a picture."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Final

from falcon.asgi import Request

from jobx.http.resources import request_views
from jobx.http.resources.graphs import RequestPath
from jobx.questions import GetTimeline
from jobx.views import Bar, Column, TimelineView

#: A view has at most so many bars.
MAX_BARS: Final = 10_000
#: Rows of each table.
ROWS: Final = 100
#: Columns of a timeline that has too many bars.
COLUMNS: Final = 60
#: Parameters of the page.
PARAMETERS: Final = ("from", "to")


@dataclass(frozen=True, slots=True)
class Table:
    """What is said of a timeline.

    Attributes:
        failed: What failed, by start.
        longest: What took longest, the longest first.
        columns: Parts of the time, if there are too many bars.
        failures: How many failed.
    """

    failed: list[Bar]
    longest: list[Bar]
    columns: list[Column]
    failures: int


def question(req: Request, key: RequestPath) -> GetTimeline:
    """Return the question for a timeline, with as many columns as the table has rows."""
    asked = request_views.timeline_question(req, key)
    return GetTimeline(**key, from_at=asked.from_at, until_at=asked.until_at, width=COLUMNS)


def table(view: TimelineView) -> Table:
    """Return what is said of a timeline, in a bounded number of rows."""
    bars, columns = view.bars or [], view.columns or []
    failed = [bar for bar in bars if bar.state == "failed"]
    longest = heapq.nlargest(ROWS, bars, key=lambda bar: bar.duration_s)
    failures = len(failed) + sum(column.failed for column in columns)
    busy = [column for column in columns if column.running or column.failed]
    return Table(failed[:ROWS], longest, busy, failures)
