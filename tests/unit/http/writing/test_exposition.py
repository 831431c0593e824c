from __future__ import annotations

import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as read_open_metrics,
)
from prometheus_client.parser import text_string_to_metric_families as read_text

from jobx.http.writing import exposition
from jobx.views import MetricFamily, MetricSample, MetricsView

HOSTILE = 'a"b\\c\nd{}=,#\u2028é'
VIEW = MetricsView(
    families=[
        MetricFamily(
            name="jobx_requests",
            kind="counter",
            says="Requests.",
            labels=("job",),
            samples=[MetricSample((HOSTILE,), 3.0)],
        ),
        MetricFamily(name="jobx_open", kind="gauge", says="Open.", samples=[MetricSample((), 2.0)]),
        MetricFamily(
            name="jobx_seconds",
            kind="histogram",
            says="Seconds.",
            labels=("step",),
            bounds=[0.1, 1.0],
            samples=[MetricSample(("s",), 1.5, [1, 2, 4])],
        ),
    ]
)
EXPECTED = {
    ("jobx_requests_total", HOSTILE): 3.0,
    ("jobx_open",): 2.0,
    ("jobx_seconds_bucket", "s", "0.1"): 1.0,
    ("jobx_seconds_bucket", "s", "1"): 2.0,
    ("jobx_seconds_bucket", "s", "+Inf"): 4.0,
    ("jobx_seconds_count", "s"): 4.0,
    ("jobx_seconds_sum", "s"): 1.5,
}


def test_a_reader_of_the_text_gets_what_was_written() -> None:
    text, media_type = exposition.text(VIEW, "*/*")
    found = {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels, reverse=True))): (
            sample.value
        )
        for family in read_text(text.decode())
        for sample in family.samples
    }
    assert found == EXPECTED
    assert media_type == "text/plain; version=0.0.4; charset=utf-8"


def test_a_reader_of_open_metrics_gets_what_was_written() -> None:
    text, media_type = exposition.text(VIEW, "application/openmetrics-text;version=1.0.0,*/*;q=0.1")
    names = {family.name for family in read_open_metrics(text.decode())}
    assert names == {"jobx_requests", "jobx_open", "jobx_seconds"}
    assert media_type.startswith("application/openmetrics-text; version=1.0.0")


@pytest.mark.parametrize("accept", ["", "x", ";;,,=", "text/plain;version=9\x00", "a" * 8000])
def test_any_other_wish_gets_the_older_form(accept: str) -> None:
    assert exposition.text(VIEW, accept)[1].startswith("text/plain; version=0.0.4")


def test_a_hostile_name_stays_on_its_line() -> None:
    text, _ = exposition.text(VIEW, "")
    assert [line for line in text.decode().split("\n") if line.startswith("d{")] == []
