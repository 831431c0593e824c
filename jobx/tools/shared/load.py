"""What a node is at, from two looks at it: rates, executors, the busiest requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypeAlias

from msgspec import Struct

from jobx.views import ExecutorView, MetricFamily, MetricsView, NodeView

#: Requests that are shown.
MOST_REQUESTS: Final = 10

_Filter: TypeAlias = Callable[[dict[str, str]], bool]


def _every(_: dict[str, str]) -> bool:
    return True


#: What is counted a second: the metric, and which of its samples.
_RATES: Final[Mapping[str, tuple[str, _Filter]]] = {
    "accepted": ("jobx_requests_accepted", _every),
    "succeeded": ("jobx_requests", lambda labels: labels["outcome"] == "succeeded"),
    "failed": ("jobx_requests", lambda labels: labels["outcome"] == "failed"),
    "invocations": ("jobx_invocations", lambda labels: labels["outcome"] == "succeeded"),
    "retries": ("jobx_invocations", lambda labels: labels["outcome"] == "retried"),
    "commits": ("jobx_commit_seconds", _every),
    "log_bytes": ("jobx_log_bytes", _every),
    "http": ("jobx_http_requests", _every),
    "messages": ("jobx_messages", _every),
    "stalls": ("jobx_stalls", _every),
}


class Look(NamedTuple):
    """A look at a node, at an instant of the monotonic clock."""

    at_s: float
    node: NodeView
    metrics: MetricsView


class BusyRequest(Struct, frozen=True):
    """A request, and how many executors are at it."""

    workflow: str
    request_id: str
    executors: int


class Load(Struct, frozen=True):
    """What a node is at.

    Attributes:
        rates: What it did in a second, on average since the look before; 0 for the first look.
        busiest: The requests that most executors are at.
    """

    node_id: str
    version: str
    state: str
    uptime_s: float
    rss_bytes: int
    open_requests: int
    queued_batches: int
    rates: dict[str, float]
    busiest: list[BusyRequest]
    executors: list[ExecutorView]


def between(before: Look | None, now: Look) -> Load:
    """Return the load of a node between two looks.

    Args:
        before: The look before; None: there was none.
        now: The last look. A node that was started again between both has rates since its start.
    """
    node = now.node
    at_work = Counter((e.workflow, e.request_id) for e in node.executors if e.request_id)
    return Load(
        node_id=node.node_id,
        version=node.version,
        state=node.state,
        uptime_s=node.uptime_s,
        rss_bytes=node.rss_bytes,
        open_requests=node.open_requests,
        queued_batches=node.queued_batches,
        rates=_rates(before, now),
        busiest=[
            BusyRequest(workflow or "", request_id or "", count)
            for (workflow, request_id), count in at_work.most_common(MOST_REQUESTS)
        ],
        executors=node.executors,
    )


def _rates(before: Look | None, now: Look) -> dict[str, float]:
    if before is None:
        return dict.fromkeys(_RATES, 0.0)
    earlier, later = _totals(before.metrics), _totals(now.metrics)
    passed_s = max(now.at_s - before.at_s, 1e-3)
    if before.node.pid != now.node.pid:
        earlier, passed_s = dict.fromkeys(_RATES, 0.0), max(now.node.uptime_s, 1e-3)
    return {name: max(later[name] - earlier[name], 0.0) / passed_s for name in _RATES}


def _totals(view: MetricsView) -> dict[str, float]:
    families = {family.name: family for family in view.families}
    return {
        name: _total(families[metric], wanted) if metric in families else 0.0
        for name, (metric, wanted) in _RATES.items()
    }


def _total(family: MetricFamily, wanted: _Filter) -> float:
    """Return the sum of the samples of a counter, or the number of measurements of a histogram."""
    return sum(
        sample.buckets[-1] if sample.buckets else sample.value
        for sample in family.samples
        if wanted(dict(zip(family.labels, sample.labels, strict=True)))
    )
