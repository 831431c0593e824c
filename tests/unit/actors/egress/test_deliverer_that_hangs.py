"""Deliveries whose writer hangs, that end in a fault of ours, or that are asked for again."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from jobx import config_loading
from jobx.actors.egress import deliverer as results
from jobx.actors.egress.deliverer import Deliverer
from jobx.actors.egress.writers.base import Options, Result, Writer
from jobx.actors.egress.writers.registry import Writers
from jobx.actors.inspection import view_builders
from jobx.actors.messages import RequestKey
from jobx.actors.notification import Notification
from jobx.actors.threads import MAX_OVERDUE
from jobx.config import Settings
from jobx.config_sections import ResultSettings
from jobx.entity_json import encode
from jobx.errors import ConfigError, NotFound
from jobx.kv import keys
from jobx.kv.blobs import BlobFolder
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import deliveries, request_entity
from jobx.kv.store import Put
from jobx.model import Delivery, Destination, Workflow
from jobx.questions import ListRequests
from tests.support.results import finished, site

BOUND_S = 60.0


class GatedWriter(Writer[Options]):
    """Notes what it is given; returns when its gate is open."""

    name: ClassVar[str] = "gated"
    gate: ClassVar[threading.Event]
    written: ClassVar[list[str]]

    def write(self, result: Result, options: Options) -> None:
        self.written.append(result.delivery_id)
        assert self.gate.wait(BOUND_S)


class QuickWriter(GatedWriter):
    """Notes what it is given."""

    name: ClassVar[str] = "quick"

    def write(self, result: Result, options: Options) -> None:
        self.written.append(result.delivery_id)


@pytest.fixture(autouse=True)
def _gate() -> Iterator[None]:
    GatedWriter.gate, GatedWriter.written = threading.Event(), []
    yield
    GatedWriter.gate.set()


class Bench:
    """A store in memory with finished requests, and a deliverer that works on it."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        defaults = {"backoff_s": 0.01, "max_backoff_s": 0.02, "time_limit_s": BOUND_S}
        paths = tuple(f"{__name__}:{kind.__name__}" for kind in (GatedWriter, QuickWriter))
        self.settings = Settings(
            results=ResultSettings(**{**defaults, "writers": paths, **settings})
        )
        self.store = MemoryStore()
        self.told: list[Notification] = []
        self._folder = folder

    def finish(self, request_id: str, writer: str) -> RequestKey:
        """Let a request end whose result goes to a writer."""
        request = finished(Destination(writer=writer, place="p"), [("a", 1)])
        request = msgspec.structs.replace(request, request_id=request_id)
        writes = request_entity.finish_writes(request, "n")
        self.store.commit([*writes, *deliveries.begin_writes(request, "n")])
        return RequestKey(request.workflow_name, request_id)

    def delivery(self, key: RequestKey) -> Delivery:
        found = deliveries.get(self.store, *key)
        assert found is not None
        return found[0]

    @asynccontextmanager
    async def deliverer(self) -> AsyncIterator[Deliverer]:
        deliverer = Deliverer(
            "n",
            self.store,
            BlobFolder(self._folder),
            Writers(site(self.settings)),
            self.settings.results,
            notify=self.told.append,
            now_at=asyncio.get_running_loop().time,
        )
        await deliverer.resume()
        async with asyncio.timeout(BOUND_S):
            yield deliverer
        await deliverer.close(lambda: True)

    async def until(self, key: RequestKey, state: str) -> Delivery:
        while self.delivery(key).state != state:
            await asyncio.sleep(0.005)
        return self.delivery(key)


def test_writer_that_hangs_fails_its_try_and_the_next_one_may_succeed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, time_limit_s=0.5)
    key = bench.finish("r1", "gated")

    async def scenario() -> Delivery:
        async with bench.deliverer():
            while len(GatedWriter.written) < 2:
                await asyncio.sleep(0.001)
            assert bench.delivery(key).error == "result writer gated took longer than 0.5 s"
            GatedWriter.gate.set()
            return await bench.until(key, "delivered")

    delivery = asyncio.run(scenario())
    assert delivery.attempts >= 2
    assert set(GatedWriter.written) == {"texts/r1"}


def test_writer_that_hangs_for_ever_is_not_called_any_more_and_holds_up_no_other(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, attempts=3, time_limit_s=0.5)
    stuck = [bench.finish(f"r{number}", "gated") for number in range(MAX_OVERDUE)]

    async def scenario() -> list[Delivery]:
        async with bench.deliverer() as deliverer:
            ended = [await bench.until(key, "given_up") for key in stuck]
            other = bench.finish("r9", "quick")
            deliverer.begin(other)
            await bench.until(other, "delivered")
            return ended

    ended = asyncio.run(scenario())
    # A try that began before the last of the four was overdue may be one more.
    assert len(GatedWriter.written) < len(stuck) * 3
    assert {delivery.attempts for delivery in ended} == {3}
    texts = {delivery.error for delivery in ended}
    assert all(text and text.startswith("4 calls of result writer gated are") for text in texts)
    assert [notification.kind for notification in bench.told] == ["delivery.given_up"] * MAX_OVERDUE


@pytest.mark.parametrize("text", ["0", "-1", "inf", "soon"])
def test_time_limit_of_a_try_that_is_none_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(ConfigError, match=r"results\.time_limit_s"):
        config_loading.load(None, {"JOBX_RESULTS_TIME_LIMIT_S": text})


@pytest.mark.parametrize("state", ["given_up", "delivered"])
def test_delivery_that_has_ended_is_made_again_under_the_same_id(
    state: Any, tmp_path: Path
) -> None:
    bench = Bench(tmp_path)
    key = bench.finish("r1", "quick")
    before = Delivery(delivery_id="texts/r1", writer="quick", place="p", attempts=20, error="x")
    ended = msgspec.structs.replace(before, state=state, ended_at=1.0)
    assert deliveries.save(bench.store, "n", key, ended)

    async def scenario() -> Delivery:
        async with bench.deliverer() as deliverer:
            assert GatedWriter.written == []
            await deliverer.redeliver(key)
            while not GatedWriter.written:
                await asyncio.sleep(0.001)
            return await bench.until(key, "delivered")

    delivery = asyncio.run(scenario())
    assert GatedWriter.written == ["texts/r1"]
    assert (delivery.attempts, delivery.error) == (1, None)
    assert deliveries.undelivered(bench.store, "n", 1) == []


def test_delivery_on_its_way_is_not_begun_a_second_time(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    key = bench.finish("r1", "gated")

    async def scenario() -> None:
        async with bench.deliverer() as deliverer:
            while not GatedWriter.written:
                await asyncio.sleep(0.001)
            await deliverer.redeliver(key)
            GatedWriter.gate.set()
            await bench.until(key, "delivered")

    asyncio.run(scenario())
    assert GatedWriter.written == ["texts/r1"]


def test_delivery_that_has_moved_to_another_node_is_made_again_though_it_is_remembered(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path)
    key = bench.finish("r1", "gated")

    async def scenario() -> None:
        async with bench.deliverer() as deliverer:
            while not GatedWriter.written:
                await asyncio.sleep(0.001)
            assert deliveries.take_over(bench.store, "n", "other", [key]) == [key]
            ended = msgspec.structs.replace(bench.delivery(key), state="given_up", ended_at=1.0)
            assert deliveries.save(bench.store, "other", key, ended)
            await deliverer.redeliver(key)
            assert deliveries.is_of(bench.store, "n", *key)
            GatedWriter.gate.set()
            await bench.until(key, "delivered")

    asyncio.run(scenario())


def test_delivery_that_was_never_to_be_is_not_found(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Bench(tmp_path).deliverer() as deliverer:
            with pytest.raises(NotFound, match="texts/r1"):
                await deliverer.redeliver(RequestKey("texts", "r1"))

    asyncio.run(scenario())


def test_given_up_deliveries_of_a_workflow_are_found(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    keys = [bench.finish(f"r{number}", "quick") for number in range(3)]
    ended = Delivery(delivery_id="texts/r1", writer="quick", state="given_up")
    assert deliveries.save(bench.store, "n", keys[1], ended)

    assert list(deliveries.given_up(bench.store, "texts")) == ["r1"]
    assert list(deliveries.given_up(bench.store, "text")) == []


def test_fault_of_ours_in_a_delivery_is_logged_with_its_request_and_can_be_made_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(tmp_path)
    key, other = bench.finish("r1", "quick"), bench.finish("r2", "quick")
    monkeypatch.setattr(results, "after_try", _failing_once(results.after_try))

    async def scenario() -> None:
        async with bench.deliverer() as deliverer:
            await bench.until(other, "delivered")
            assert bench.delivery(key).state == "pending"
            await deliverer.redeliver(key)
            await bench.until(key, "delivered")

    with caplog.at_level(logging.ERROR):
        asyncio.run(scenario())
    (record,) = caplog.records
    assert record.getMessage() == "the delivery of texts/r1 is left until the next start"
    assert record.exc_info is not None and record.exc_info[0] is ArithmeticError


def _failing_once(real: Callable[..., Delivery]) -> Callable[..., Delivery]:
    failed: list[str] = []

    def call(begun: Delivery, *rest: Any) -> Delivery:
        if begun.delivery_id == "texts/r1" and not failed:
            failed.append(begun.delivery_id)
            raise ArithmeticError("a fault of ours")
        return real(begun, *rest)

    return call


def test_page_of_requests_shows_their_deliveries(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.store.commit(
        [Put(keys.workflow("texts"), encode(Workflow(workflow_name="texts", description="")))]
    )
    bench.finish("r1", "quick")
    plain = msgspec.structs.replace(finished(None, []), request_id="r2")
    bench.store.commit(request_entity.finish_writes(plain, "n"))

    page = view_builders.page(bench.store, ListRequests(workflow="texts", limit=10), 0.0)

    assert [(v.request_id, [d.state for d in v.deliveries]) for v in page.requests] == [
        ("r2", []),
        ("r1", ["pending"]),
    ]
