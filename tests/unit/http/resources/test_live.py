from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from falcon.asgi import SSEvent
from falcon.testing import ASGIConductor, TestClient
from msgspec.structs import replace

from jobx.config_sections import HttpSettings
from jobx.errors import JobxError, NodeLost, NotFound, Overloaded, Unavailable
from jobx.http.app import create_app
from jobx.http.node.polls import Seen
from jobx.http.resources import live
from jobx.http.resources.live import Stream, Streams
from jobx.questions import Question
from jobx.views import RequestView, SummaryView, WatchView
from tests.support.fake_node import FakeNode
from tests.support.waiting import eventually_soon
from tests.unit.http.resources.test_requests import submit

SEEN = Seen("texts", "r1", -1)


class Port:
    """A node whose request has so many events, and what it was asked."""

    def __init__(self) -> None:
        self.last, self.is_ended = 0, False
        self.errors: list[JobxError] = []
        self.asked: list[Any] = []
        self.changed = asyncio.Event()
        self.streams = Streams(self, 3)  # type: ignore[arg-type]  # asked nothing else

    async def call(self, asked: Any, timeout_s: float) -> WatchView:
        self.asked.append(asked)
        if self.errors:
            raise self.errors.pop(0)
        while asked.wait_s and asked.after == self.last and not self.is_ended:
            self.changed.clear()
            await self.changed.wait()
        if asked.after == self.last and not self.is_ended:
            return WatchView(as_of=self.last)
        request = RequestView(
            request_id="r1", workflow_name="w", job_name="j", state="running",
            is_blocking=False, accepted_at=1.0,
        )  # fmt: skip
        summary = SummaryView(request=request, as_of=self.last)
        return WatchView(as_of=self.last, summary=summary, is_end=self.is_ended)

    def grow(self, *, is_end: bool = False) -> None:
        """Have something happen."""
        self.last += 1
        self.is_ended = is_end
        self.changed.set()

    async def stream(self, seen: Seen = SEEN) -> Stream:
        found = self.streams.open(seen)
        await found.begin()
        return found


def run(test: Callable[[Port], Awaitable[None]]) -> None:
    async def main() -> None:
        await test(Port())

    asyncio.run(main())


def fields(event: SSEvent | None) -> dict[str, str]:
    """Return the fields of a message."""
    assert event is not None
    lines = event.serialize(None).decode().strip().split("\n")
    return dict(line.split(": ", 1) for line in lines)


async def after(stream: Stream) -> int:
    """Return the number of the next message."""
    return int(fields(await anext(stream))["id"])


def test_messages_have_the_numbers_of_events() -> None:
    async def test(port: Port) -> None:
        stream = await port.stream()
        first = fields(await anext(stream))
        assert (first["id"], first["event"]) == ("0", "progress")
        assert json.loads(first["data"])["summary"]["as_of"] == 0
        port.grow()
        assert await after(stream) == 1

    run(test)


def test_a_stream_ends_with_its_request() -> None:
    async def test(port: Port) -> None:
        stream = await port.stream()
        await anext(stream)
        port.grow(is_end=True)
        assert fields(await anext(stream))["event"] == "end"
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    run(test)


def test_who_knows_the_end_is_told_that_there_is_no_more() -> None:
    async def test(port: Port) -> None:
        port.is_ended = True
        assert await port.streams.open(SEEN).begin()
        assert not await port.streams.open(SEEN._replace(after=0)).begin()

    run(test)


def test_watchers_who_have_seen_the_same_ask_once() -> None:
    async def test(port: Port) -> None:
        streams = [await port.stream(SEEN._replace(after=0)) for _ in range(3)]
        port.asked.clear()
        nexts = [asyncio.ensure_future(after(stream)) for stream in streams]
        await eventually_soon(lambda: port.asked, 60.0)
        port.grow()
        assert await asyncio.gather(*nexts) == [1, 1, 1]
        assert len(port.asked) == 1

    run(test)


def test_a_watcher_who_left_costs_the_others_nothing() -> None:
    async def test(port: Port) -> None:
        first, second = [await port.stream(SEEN._replace(after=0)) for _ in range(2)]
        leaving, staying = (asyncio.ensure_future(after(one)) for one in (first, second))
        await eventually_soon(lambda: len(port.asked) == 3, 60.0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        port.grow()
        assert await staying == 1

    run(test)


def test_a_comment_keeps_a_quiet_stream_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "COMMENT_S", 0.01)

    async def test(port: Port) -> None:
        stream = await port.stream(SEEN._replace(after=0))
        assert [await anext(stream) for _ in range(3)] == [None, None, None]
        monkeypatch.setattr(live, "COMMENT_S", 60.0)
        port.grow()
        assert await after(stream) == 1

    run(test)


@pytest.mark.parametrize("error", [NodeLost("gone"), Unavailable("away"), Overloaded("full")])
def test_a_stream_outlives_its_node(error: JobxError, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "AGAIN_S", 0.0)

    async def test(port: Port) -> None:
        stream = await port.stream(SEEN._replace(after=0))
        port.errors = [error] * 3
        port.grow()
        assert await after(stream) == 1

    run(test)


def test_a_stream_of_what_is_removed_ends() -> None:
    async def test(port: Port) -> None:
        stream = await port.stream(SEEN._replace(after=0))
        port.errors = [NotFound("request", "w/r1")]
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    run(test)


def test_a_web_worker_that_stops_ends_all_streams_and_says_when_to_come_again() -> None:
    async def test(port: Port) -> None:
        stream, idle = [await port.stream(SEEN._replace(after=0)) for _ in range(2)]
        waiting = asyncio.ensure_future(anext(stream))
        await eventually_soon(lambda: len(port.asked) == 3, 60.0)
        port.streams.cut()
        for found in (await waiting, await anext(idle)):
            assert 1000 <= int(fields(found)["retry"]) <= 3000
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        with pytest.raises(Overloaded):
            port.streams.open(SEEN)

    run(test)


def test_the_number_of_streams_is_bounded_and_nobody_has_to_give_one_back() -> None:
    async def test(port: Port) -> None:
        streams = [port.streams.open(SEEN) for _ in range(3)]
        with pytest.raises(Overloaded):
            port.streams.open(SEEN)
        streams.clear()
        gc.collect()
        port.streams.open(SEEN)

    run(test)


# Over the application:


def test_an_ended_request_has_one_message(client: TestClient) -> None:
    request_id = submit(client, "count", text="a b")
    answer = client.simulate_get(f"/request/texts/{request_id}/events")
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.headers["cache-control"] == "no-store"
    (message,) = answer.text.strip().split("\n\n")
    head, name, data = message.split("\n")
    assert (head, name) == ("id: 2", "event: end")
    view = json.loads(data.removeprefix("data: "))
    assert (view["as_of"], view["summary"]["request"]["state"]) == (2, "succeeded")


def test_a_client_that_has_the_end_need_not_come_again(client: TestClient) -> None:
    path = f"/request/texts/{submit(client, 'count', text='a')}/events"
    assert client.simulate_get(path, headers={"Last-Event-ID": "2"}).status_code == 204
    assert client.simulate_get(path, params={"after": "2"}).status_code == 204
    behind = client.simulate_get(path, headers={"Last-Event-ID": "1"}, params={"after": "2"})
    assert "event: end" in behind.text


@pytest.mark.parametrize("text", ["x", "", "-1", "1.5", "+1", "01", "1e3", "3", "9" * 40, "\u0661"])
def test_what_is_no_event_is_refused_by_name(client: TestClient, text: str) -> None:
    path = f"/request/texts/{submit(client, 'count', text='a')}/events"
    if text.isascii():
        refused = client.simulate_get(path, headers={"Last-Event-ID": text})
        assert (refused.status_code, refused.json["code"]) == (400, "invalid-input")
        assert refused.json["detail"].startswith("header Last-Event-ID: ")
    refused = client.simulate_get(path, params={"after": text or '""'})
    assert refused.status_code == 400
    assert refused.json["detail"].startswith("query parameter after: ")


def test_a_request_that_does_not_exist_has_no_events(client: TestClient) -> None:
    assert client.simulate_get("/request/texts/absent/events").status_code == 404


def test_head_gets_the_headers_alone(client: TestClient) -> None:
    path = f"/request/texts/{submit(client, 'slow')}/events"
    answer = client.simulate_head(path, headers={"Accept-Encoding": "gzip"})
    assert (answer.status_code, answer.text) == (200, "")
    assert answer.headers["content-type"] == "text/event-stream"
    assert not {"content-length", "content-encoding"} & {*answer.headers}


def test_more_streams_than_may_be_are_refused(
    node: FakeNode, settings: HttpSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "COMMENT_S", 0.1)  # then it is seen that the client has left

    async def main() -> None:
        async with ASGIConductor(create_app(node, replace(settings, max_watchers=1))) as client:
            body = {"arguments": {}}
            path = "/job/texts/slow"
            made = await client.simulate_post(path, json=body, params={"blocking": "false"})
            path = f"/request/texts/{made.json['request_id']}/events"
            headers = {"Accept-Encoding": "gzip"}
            async with client.simulate_get_stream(path, headers=headers) as open_one:
                refused = await client.simulate_get(path)
                assert (refused.status_code, refused.json["code"]) == (503, "overloaded")
                assert refused.headers["retry-after"] == "5"
                assert (await open_one.stream.read()).startswith(b"id: 0\n")
                assert "content-encoding" not in open_one.headers

    asyncio.run(main())


def test_a_question_of_another_kind_is_not_asked(client: TestClient, node: FakeNode) -> None:
    client.simulate_get(f"/request/texts/{submit(client, 'count', text='a')}/events")
    kinds: set[type[Question[Any]]] = {type(asked) for asked in node.calls}
    assert {kind.__name__ for kind in kinds} == {"SubmitJob", "WatchRequest"}
