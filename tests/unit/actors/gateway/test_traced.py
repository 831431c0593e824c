from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

import pytest
from msgspec.structs import replace

from jobx.actors.egress.otlp import Collector, Span
from jobx.actors.gateway.traced import Traced
from jobx.actors.inspection import trace_json, view_builders
from jobx.model import Request
from jobx.questions import GetTrace
from jobx.views import TraceJson, TraceView
from tests.support.results import finished
from tests.support.waiting import eventually_soon

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0"


class FakeCollector:
    def __init__(self) -> None:
        self.sent: list[Span] = []

    def send(self, spans: Sequence[Span]) -> None:
        self.sent += spans


def end(request: Request, expected: int) -> tuple[list[Span], Counter[str]]:
    """Return what a collector gets of a request that ends, and what is counted."""
    collector, counted = FakeCollector(), Counter[str]()

    async def ask(_: GetTrace) -> Any:
        view = TraceView(request=view_builders.request_view(request, []), root=None)
        return TraceJson(json=trace_json.encode(view))

    async def main() -> None:
        traced = Traced(
            cast("Collector", collector), ask, lambda outcome: counted.update([outcome])
        )
        traced.ended(request)
        await eventually_soon(lambda: counted.total() == expected)
        traced.close()

    asyncio.run(main())
    return collector.sent, counted


def test_a_request_that_came_with_a_sampled_traceparent_gets_spans() -> None:
    request = replace(finished(None, []), context={"traceparent": f"{CALLER}1"})
    sent, counted = end(request, 1)
    assert [hex(span.trace_id) for span in sent] == ["0xaf7651916cd43dd8448eb211c80319c"]
    assert counted == {"sent": 1}


@pytest.mark.parametrize("caller", [None, f"{CALLER}0", "x", {"a": 1}])
def test_all_others_get_none(caller: object) -> None:
    request = replace(finished(None, []), context={"traceparent": caller})
    assert end(request, 0) == ([], Counter())
