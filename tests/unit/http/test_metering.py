from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from jobx.http import metering
from jobx.http.metering import Exchange, Meter


def exchange(route: str = "/node", status: int | None = 200, body: bytes = b"12345") -> Exchange:
    async def answer(_: dict[str, Any]) -> None:
        pass

    async def serve(one: Exchange) -> None:
        if status is not None:
            await one.send({"type": "http.response.start", "status": status})
            await one.send({"type": "http.response.body", "body": body})

    one = Exchange("GET", answer)
    one.route = route
    asyncio.run(serve(one))
    return one


def test_what_was_counted_is_reported_once_it_is_confirmed() -> None:
    meter = Meter()
    for _ in range(2):
        meter.ended(exchange())
    first = meter.report()
    assert first is not None
    (counted,) = first.counted
    assert (counted.labels, sum(counted.counts)) == (("GET", "/node", "200"), 2)
    assert counted.sent_bytes == 10
    meter.confirm(first.number)
    assert meter.report() is None


def test_a_report_that_was_not_confirmed_is_sent_again_as_it_was() -> None:
    meter = Meter()
    meter.ended(exchange())
    first = meter.report()
    meter.ended(exchange())
    assert first is not None
    assert meter.report() is first
    meter.confirm(first.number - 1)
    assert meter.report() is first
    meter.confirm(first.number)
    second = meter.report()
    assert second is not None
    assert (second.worker, second.number) == (first.worker, first.number + 1)
    assert sum(second.counted[0].counts) == 1


def test_two_web_workers_have_different_names() -> None:
    meters = Meter(), Meter()
    for meter in meters:
        meter.ended(exchange())
    reports = [meter.report() for meter in meters]
    assert len({report.worker for report in reports if report is not None}) == 2


def test_an_answer_that_never_began_has_no_status() -> None:
    meter = Meter()
    meter.ended(exchange(status=None))
    report = meter.report()
    assert report is not None
    assert report.counted[0].labels == ("GET", "/node", "none")


@pytest.mark.parametrize(
    ("media_type", "took_s"), [(b"text/event-stream", 5.0), (b"application/json", 7000.0)]
)
def test_a_stream_of_events_counts_until_it_begins_and_others_until_they_end(
    monkeypatch: pytest.MonkeyPatch, media_type: bytes, took_s: float
) -> None:
    async def take(_: dict[str, Any]) -> None:
        pass

    clock = SimpleNamespace(monotonic=lambda: 0.0)
    monkeypatch.setattr(metering, "time", clock)
    meter, one = Meter(), Exchange("GET", take)
    clock.monotonic = lambda: 5.0
    headers = [(b"content-type", media_type)]
    asyncio.run(one.send({"type": "http.response.start", "status": 200, "headers": headers}))
    clock.monotonic = lambda: 7000.0
    meter.ended(one)
    report = meter.report()
    assert report is not None
    assert report.counted[0].total_s == took_s


def test_what_a_meter_holds_while_the_node_is_away_is_bounded() -> None:
    meter = Meter()
    for number in range(3000):
        meter.ended(exchange(route=f"/{number}"))
    report = meter.report()
    assert report is not None
    assert len(report.counted) == 1001
    assert sum(sum(one.counts) for one in report.counted) == 3000
