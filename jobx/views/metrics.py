"""What a node counts."""

from __future__ import annotations

import msgspec

from jobx.views.base import View


class MetricSample(msgspec.Struct, frozen=True, array_like=True):
    """One value of a metric.

    Attributes:
        labels: The values of its labels.
        value: What it is; of a histogram, the sum of all measurements.
        buckets: Of a histogram: how many were at most as large as each bound, and how many there
            were.
    """

    labels: tuple[str, ...]
    value: float
    buckets: list[int] = []


class MetricFamily(View, frozen=True, kw_only=True):
    """A metric: ``kind`` is ``counter``, ``gauge`` or ``histogram``. Names lack ``_total``."""

    name: str
    kind: str
    says: str
    labels: tuple[str, ...] = ()
    #: Of a histogram, the upper bounds of its buckets.
    bounds: list[float] = []
    samples: list[MetricSample] = []


class MetricsView(View, frozen=True, kw_only=True):
    """What a node counted since it started, and how it is now."""

    families: list[MetricFamily]


class CountedView(View, frozen=True, kw_only=True):
    """The number of the last report of a web worker that was counted."""

    number: int
