from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from jobx.actors.egress import span_export
from jobx.actors.egress.span_export import SpanExport
from jobx.actors.messages import RequestKey
from jobx.errors import NotFound, Unavailable
from tests.support.waiting import eventually_soon


class Desk:
    """What an export reads and sends.

    Attributes:
        errors: What the next sends end with.
        gate: Sends wait while it is not set.
    """

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.counted: Counter[str] = Counter()
        self.errors: list[Exception] = []
        self.gate = threading.Event()
        self.gate.set()
        self.missing: set[str] = set()
        self.export = SpanExport(
            self.read, self.send, lambda outcome: self.counted.update([outcome])
        )

    async def read(self, key: RequestKey) -> bytes:
        if key.request_id in self.missing:
            raise NotFound("request", key.request_id)
        return key.request_id.encode()

    def send(self, trace: bytes) -> None:
        assert self.gate.wait(60)
        if self.errors:
            raise self.errors.pop(0)
        self.sent.append(trace)

    def begin(self, *names: str) -> None:
        for name in names:
            self.export.begin(RequestKey("w", name))

    async def settled(self, count: int) -> None:
        await eventually_soon(lambda: self.counted.total() == count)


def run(scenario: Callable[[Desk], Awaitable[None]]) -> None:
    async def main() -> None:
        desk = Desk()
        await asyncio.wait_for(scenario(desk), 60)
        desk.export.close()

    asyncio.run(main())


def test_requests_are_sent_one_after_the_other() -> None:
    async def scenario(desk: Desk) -> None:
        desk.begin("a", "b")
        await desk.settled(2)
        desk.begin("c")
        await desk.settled(3)
        assert desk.sent == [b"a", b"b", b"c"]
        assert desk.counted == {"sent": 3}

    run(scenario)


def test_a_collector_that_is_away_costs_the_spans_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(span_export, "AGAIN_S", 0.0)

    async def scenario(desk: Desk) -> None:
        desk.errors = [Unavailable("gone"), ValueError("a fault of the library")]
        desk.begin("a", "b", "c")
        await desk.settled(3)
        assert desk.sent == [b"c"]
        assert desk.counted == {"dropped": 2, "sent": 1}

    run(scenario)
    assert "the spans of 1 requests were not sent: gone" in caplog.text


def test_a_request_that_is_gone_holds_up_no_other() -> None:
    async def scenario(desk: Desk) -> None:
        desk.missing = {"a"}
        desk.begin("a", "b")
        await desk.settled(2)
        assert desk.sent == [b"b"]

    run(scenario)


def test_what_waits_for_a_slow_collector_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(span_export, "MOST_WAITING", 3)

    async def scenario(desk: Desk) -> None:
        desk.gate.clear()
        desk.begin(*(str(number) for number in range(10)))
        assert desk.counted == {"dropped": 7}
        desk.gate.set()
        await desk.settled(10)
        assert desk.sent == [b"0", b"1", b"2"]

    run(scenario)


def test_a_collector_that_hangs_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(span_export, "SEND_S", 0.01)
    monkeypatch.setattr(span_export, "AGAIN_S", 0.0)

    async def scenario(desk: Desk) -> None:
        desk.gate.clear()
        desk.begin("a")
        await desk.settled(1)
        assert desk.counted == {"dropped": 1}
        desk.gate.set()

    run(scenario)
