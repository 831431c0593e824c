"""Greet a node, look at it, and give it what a web worker counted."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from jobx import views
from jobx.counting import LONG_S, MOST_LABEL_SETS
from jobx.questions.base import Question, Text, Whole


class Hello(Question[views.Greeting], frozen=True, tag="hello", forbid_unknown_fields=False):
    """What each peer says first; later protocols may say more."""

    protocol: int
    role: Text = ""
    version: Text = ""


class GetReadiness(Question[views.ReadinessView], frozen=True, tag="node.ready"):
    """Whether the node takes requests."""


class GetNode(Question[views.NodeView], frozen=True, tag="node.status"):
    """The node."""


class ListNotifications(Question[views.NotificationPage], frozen=True, tag="node.notifications"):
    """What the node has told people."""


class GetMetrics(Question[views.MetricsView], frozen=True, tag="node.metrics"):
    """What the node counted."""


class HttpCount(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Answered HTTP requests of one kind.

    Attributes:
        labels: Method, route and status.
        counts: By the time they took, as ``counting.Histogram.counts`` with the bounds ``LONG_S``.
        total_s: The sum of these times.
        sent_bytes: Bytes of bodies of answers.
    """

    labels: Annotated[tuple[Text, ...], Meta(min_length=3, max_length=3)]
    counts: Annotated[list[Whole], Meta(min_length=len(LONG_S) + 1, max_length=len(LONG_S) + 1)]
    total_s: Annotated[float, Meta(ge=0)]
    sent_bytes: Whole


class CountHttp(Question[views.CountedView], frozen=True, kw_only=True, tag="node.count_http"):
    """Add what a web worker has counted since its last report; a repeated report counts once.

    Attributes:
        worker: The web worker; another one after each start.
        number: Of the report, ascending.
        counted: What it counted.
    """

    worker: Text
    number: int
    counted: Annotated[list[HttpCount], Meta(max_length=MOST_LABEL_SETS + 1_000)]
