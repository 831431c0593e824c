from __future__ import annotations

import pytest
from msgspec.structs import replace

from jobx.actors.inspection import metric_views
from jobx.actors.metrics import Metrics
from jobx.tools.shared import load
from jobx.tools.shared.load import BusyRequest, Look
from jobx.views import ExecutorView, MetricsView
from tests.support.fake_node import VIEW


def look(at_s: float, metrics: Metrics, pid: int = 1) -> Look:
    node = replace(VIEW, pid=pid, uptime_s=2.0)
    return Look(at_s, node, MetricsView(families=list(metric_views.counted(metrics))))


def test_rates_are_what_was_counted_between_two_looks() -> None:
    metrics = Metrics()
    metrics.request_ended("w", "j", "succeeded", 0.1)
    before = look(10.0, metrics)
    for outcome in ("succeeded", "succeeded", "failed"):
        metrics.request_ended("w", "j", outcome, 0.1)
    metrics.committed(0.01, False)
    rates = load.between(before, look(14.0, metrics)).rates
    assert {name: rate for name, rate in rates.items() if rate} == {
        "succeeded": 0.5,
        "failed": 0.25,
        "commits": 0.25,
    }


def test_a_node_that_was_started_again_has_rates_since_its_start() -> None:
    metrics = Metrics()
    for _ in range(10):
        metrics.request_ended("w", "j", "failed", 0.1)
    before = look(0.0, metrics)
    again = Metrics()
    again.request_ended("w", "j", "failed", 0.1)
    assert load.between(before, look(100.0, again, pid=2)).rates["failed"] == 0.5


def test_a_first_look_has_no_rates() -> None:
    assert set(load.between(None, look(0.0, Metrics())).rates.values()) == {0.0}


def test_the_busiest_request_is_the_one_with_most_executors() -> None:
    executors = [
        ExecutorView(
            pid=n,
            state="busy",
            invocations=1,
            rss_bytes=1,
            age_s=1.0,
            workflow="w" if name else None,
            request_id=name,
        )
        for n, name in enumerate(("a", "b", None, "b"))
    ]
    now = look(0.0, Metrics())
    busy = load.between(None, now._replace(node=replace(now.node, executors=executors))).busiest
    assert busy == [BusyRequest("w", "b", 2), BusyRequest("w", "a", 1)]


def test_a_node_that_counts_less_is_no_error() -> None:
    bare = Look(0.0, VIEW, MetricsView(families=[]))
    assert load.between(bare, bare._replace(at_s=1.0)).rates["http"] == pytest.approx(0.0)
