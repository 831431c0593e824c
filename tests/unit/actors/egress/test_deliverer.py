from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobx import model
from jobx.actors.egress.deliverer import Deliverer
from jobx.actors.egress.outcomes import after_try
from jobx.actors.egress.writers.registry import Writers
from jobx.actors.janitor import Janitor
from jobx.actors.messages import RequestKey
from jobx.actors.notification import Notification
from jobx.config import Settings
from jobx.config_sections import ResultSettings
from jobx.errors import BlobDamaged, BlobUnreadable, StoreUnavailable, TooLarge, Unavailable
from jobx.handlers.authoring.library import Library
from jobx.kv.blobs import BlobFolder
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import deliveries, kept_requests, removal, request_entity
from jobx.kv.store import Delete
from jobx.model import Delivery, Destination
from tests.support.http_sink import HttpSink, Post, http_sink
from tests.support.results import NAMES, finished, site
from tests.support.waiting import after

KEY = RequestKey(NAMES.workflow, NAMES.request_id)
LIMITS = ResultSettings(attempts=4, backoff_s=1.0, max_backoff_s=5.0)


@pytest.fixture
def sink() -> Iterator[HttpSink]:
    with http_sink() as sink:
        yield sink


class Bench:
    """A deliverer on a store in memory that holds one finished request."""

    def __init__(self, folder: Path, url: str, **results: Any) -> None:
        defaults = {"http_url": url, "backoff_s": 0.01, "max_backoff_s": 0.05}
        self.settings = Settings(results=ResultSettings(**{**defaults, **results}))
        self.store = FlakyStore()
        self.folder = folder
        self.told: list[Notification] = []
        destination = Destination(writer="http", place="p")
        self.request = finished(destination, [("a", 1)])
        self.store.commit(
            [
                *request_entity.finish_writes(self.request, "n"),
                *deliveries.begin_writes(self.request, "n"),
            ]
        )

    def run(self, timeout_s: float = 60.0) -> Delivery | None:
        """Work off what the store holds and return how the delivery then stands."""
        asyncio.run(self._run(timeout_s))
        (left,) = deliveries.read(self.store, self.request) or [None]
        return left

    async def _run(self, timeout_s: float) -> None:
        deliverer = Deliverer(
            "n",
            self.store,
            BlobFolder(self.folder),
            Writers(site(self.settings)),
            self.settings.results,
            notify=self.told.append,
            now_at=asyncio.get_running_loop().time,
        )
        await deliverer.resume()
        async with asyncio.timeout(timeout_s):
            while deliveries.undelivered(self.store, "n", 1):
                await asyncio.sleep(0.005)
        await deliverer.close(after(60.0))


class FlakyStore(MemoryStore):
    """Refuses the next ``broken`` commits that would end a delivery."""

    broken = 0

    def commit(self, writes: Any) -> None:
        if self.broken and any(isinstance(w, Delete) for w in writes):
            self.broken -= 1
            raise StoreUnavailable("no answer")
        super().commit(writes)


@pytest.mark.parametrize(
    ("attempts", "error", "state", "delay_s"),
    [
        (1, None, "delivered", None),
        (4, None, "delivered", None),
        (1, Unavailable("x", 0.0), "pending", 1.0),
        (2, Unavailable("x", 0.0), "pending", 2.0),
        (3, Unavailable("x", 0.0), "pending", 4.0),
        (4, Unavailable("x", 0.0), "given_up", None),
        (1, Unavailable("x", 3.0), "pending", 3.0),
        (1, Unavailable("x", 9.0), "pending", 5.0),
        (1, ValueError("x"), "pending", 1.0),
        (1, TooLarge("x", "y", "z"), "given_up", None),
        (1, BlobDamaged("x", "y"), "given_up", None),
    ],
)
def test_delivery_after_a_try(
    attempts: int, error: Exception | None, state: str, delay_s: float | None
) -> None:
    begun = model.Delivery(delivery_id="w/r", writer="http", attempts=attempts)
    after = after_try(begun, error, LIMITS, 100.0, luck=0.5)

    assert after.state == state
    assert after.next_at == (None if delay_s is None else 100.0 + delay_s)
    assert after.ended_at == (None if state == "pending" else 100.0)


@pytest.mark.parametrize("attempts", [1, 4])
def test_error_of_a_delivery_does_not_tell_when_to_try_again(attempts: int) -> None:
    begun = model.Delivery(delivery_id="w/r", writer="http", attempts=attempts)
    after = after_try(begun, Unavailable("refused", 3.0), LIMITS, 100.0, luck=0.5)

    assert after.error == "refused"


def test_backoff_ends_at_its_limit_after_very_many_tries() -> None:
    many = model.Delivery(delivery_id="w/r", writer="http", attempts=900)
    after = after_try(many, Unavailable("x", 0.0), ResultSettings(attempts=1000), 0.0, luck=0.9)

    assert after.next_at == ResultSettings().max_backoff_s


def test_result_is_delivered_once_and_noted(tmp_path: Path, sink: HttpSink) -> None:
    bench = Bench(tmp_path, sink.url)
    delivery = bench.run()

    assert delivery is not None
    assert (delivery.state, delivery.attempts, delivery.error) == ("delivered", 1, None)
    assert [post.headers["webhook-id"] for post in sink.posts] == ["texts/r1"]
    assert bench.told == []


def test_target_that_is_down_gets_it_when_it_is_back(tmp_path: Path, sink: HttpSink) -> None:
    def answer(_: Post) -> tuple[int, dict[str, str]]:
        return (503 if len(sink.posts) < 6 else 204), {}

    sink.answer = answer
    delivery = Bench(tmp_path, sink.url).run()

    assert delivery is not None
    assert (delivery.state, delivery.attempts) == ("delivered", 6)
    assert {post.headers["webhook-id"] for post in sink.posts} == {"texts/r1"}


def test_delivery_that_is_given_up_is_told_with_its_last_error(
    tmp_path: Path, sink: HttpSink
) -> None:
    sink.answer = lambda _: (500, {})
    bench = Bench(tmp_path, sink.url, attempts=3)
    delivery = bench.run()

    assert delivery is not None
    assert (delivery.state, delivery.attempts) == ("given_up", 3)
    (notification,) = bench.told
    assert (notification.kind, notification.level) == ("delivery.given_up", "error")
    assert "answered 500" in notification.text
    assert "hidden" not in f"{notification}{delivery}"


def test_trouble_of_the_store_repeats_no_delivery(
    tmp_path: Path, sink: HttpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobx.actors.egress.deliverer.STORE_AGAIN_S", 0.01)
    bench = Bench(tmp_path, sink.url)
    bench.store.broken = 3
    delivery = bench.run()

    assert delivery is not None
    assert delivery.state == "delivered"
    assert len(sink.posts) == 1


def test_try_that_was_begun_by_a_killed_node_counts(tmp_path: Path, sink: HttpSink) -> None:
    sink.answer = lambda _: (500, {})
    bench = Bench(tmp_path, sink.url, attempts=3)
    begun = model.Delivery(delivery_id="texts/r1", writer="http", attempts=2)
    assert deliveries.save(bench.store, "n", KEY, begun)
    delivery = bench.run()

    assert delivery is not None
    assert (delivery.state, len(sink.posts)) == ("given_up", 1)


def test_marker_of_a_request_that_is_gone_is_dropped(tmp_path: Path, sink: HttpSink) -> None:
    bench = Bench(tmp_path, sink.url)
    bench.store.commit(removal.purge_writes(kept_requests.find(bench.store, bench.request)))

    assert bench.run() is None
    assert sink.posts == []


def test_janitor_keeps_a_request_whose_result_is_on_its_way(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "http://127.0.0.1:1/")
    now_at = 1000.0
    janitor = Janitor(
        bench.store,
        BlobFolder(tmp_path),
        Library(bench.store),
        retention_s=10.0,
        now_at=lambda: now_at,
    )

    assert janitor.sweep() == 0
    assert request_entity.get(bench.store, *KEY)
    ended = model.Delivery(delivery_id="texts/r1", writer="http", state="given_up")
    assert deliveries.save(bench.store, "n", KEY, ended)
    now_at = 9000.0
    assert janitor.sweep() == 1
    assert bench.store.range("deliveries/") == []


def test_request_without_a_destination_has_no_delivery() -> None:
    assert deliveries.begin_writes(finished(None, []), "n") == []


def _without_descriptors() -> Unavailable:
    try:
        try:
            raise OSError(errno.EMFILE, "Too many open files")
        except OSError as error:
            raise Unavailable("the receiver cannot be reached", 0.0) from error
    except Unavailable as error:
        return error


@pytest.mark.parametrize(
    "error",
    [
        StoreUnavailable("blob b: Too many open files"),
        BlobUnreadable("b", "Permission denied"),
        _without_descriptors(),
    ],
    ids=["blob", "permission", "socket"],
)
def test_what_the_node_itself_lacks_uses_up_no_try(error: Exception) -> None:
    begun = model.Delivery(delivery_id="w/r", writer="http", attempts=4)
    after = after_try(begun, error, LIMITS, 100.0, luck=0.5)

    assert (after.state, after.attempts, after.next_at) == ("pending", 3, 101.0)
