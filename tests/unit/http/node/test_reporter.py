from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from jobx.errors import NodeUnreachable
from jobx.http.metering import Exchange, Meter
from jobx.http.node import reporter
from jobx.http.node.reporter import Reporter
from tests.support.fake_node import FakeNode
from tests.support.waiting import eventually_soon

Scenario = Callable[[FakeNode, Meter, Reporter], Awaitable[None]]


def run(scenario: Scenario) -> None:
    async def main() -> None:
        meter, node = Meter(), FakeNode()
        await asyncio.wait_for(scenario(node, meter, Reporter(node, meter)), 60)

    asyncio.run(main())


async def answer(_: dict[str, Any]) -> None:
    """Send nothing."""


def counted(node: FakeNode) -> int:
    return sum(cell.count for cell in node.metrics.http_s.values())


def test_a_web_worker_reports_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporter, "EVERY_S", 0.001)

    async def scenario(node: FakeNode, meter: Meter, reports: Reporter) -> None:
        reports.start()
        for number in (1, 2):
            meter.ended(Exchange("GET", answer))
            await eventually_soon(lambda: counted(node) == number)  # noqa: B023 - waited for here
        await reports.stop(1.0)

    run(scenario)


def test_what_a_node_does_not_take_is_reported_later() -> None:
    async def scenario(node: FakeNode, meter: Meter, reports: Reporter) -> None:
        meter.ended(Exchange("GET", answer))
        node.error = NodeUnreachable("gone")
        await reports.report()
        meter.ended(Exchange("GET", answer))
        node.error = None
        await reports.report()
        assert counted(node) == 2

    run(scenario)


def test_nothing_is_sent_when_nothing_was_counted() -> None:
    async def scenario(node: FakeNode, _: Meter, reports: Reporter) -> None:
        await reports.report()
        assert node.calls == []

    run(scenario)


def test_a_web_worker_that_ends_reports_what_is_left() -> None:
    async def scenario(node: FakeNode, meter: Meter, reports: Reporter) -> None:
        reports.start()
        meter.ended(Exchange("GET", answer))
        await reports.stop(5.0)
        assert counted(node) == 1

    run(scenario)
