"""Metrics as text, in the forms that Prometheus reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.openmetrics import exposition as open_metrics
from prometheus_client.registry import Collector

from jobx.views import MetricFamily, MetricsView

#: A client that names it gets it, whatever version of it; all others get the older form.
_OPEN_METRICS: Final = "application/openmetrics-text"


class _Collected(Collector):
    """Metrics in the types of the library."""

    def __init__(self, families: Sequence[MetricFamily]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        return map(_converted, self._families)


def text(view: MetricsView, accept: str) -> tuple[bytes, str]:
    """Return metrics as text, and its media type.

    Args:
        view: The metrics.
        accept: What the client wants: its header ``Accept``.
    """
    collected = _Collected(view.families)
    if _OPEN_METRICS in accept:
        written: bytes = open_metrics.generate_latest(collected)  # type: ignore[no-untyped-call]  # it has no types
        return written, open_metrics.CONTENT_TYPE_LATEST
    return generate_latest(collected), CONTENT_TYPE_PLAIN_0_0_4


def _converted(family: MetricFamily) -> Metric:
    name, says, labels = family.name, family.says, family.labels
    if family.kind == "histogram":
        return _histogram(family)
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(name, says, labels=labels)
    for sample in family.samples:
        metric.add_metric(sample.labels, sample.value)
    return metric


def _histogram(family: MetricFamily) -> Metric:
    metric = HistogramMetricFamily(family.name, family.says, labels=family.labels)
    bounds = [*(f"{bound:g}" for bound in family.bounds), "+Inf"]
    for sample in family.samples:
        metric.add_metric(
            sample.labels, list(zip(bounds, sample.buckets, strict=True)), sample.value
        )
    return metric
