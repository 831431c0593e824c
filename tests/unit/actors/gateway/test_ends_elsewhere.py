from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from msgspec.structs import replace

from jobx import model
from jobx.actors.gateway import ends_elsewhere as module
from jobx.actors.gateway.ends_elsewhere import Ends
from jobx.actors.messages import RequestKey
from jobx.errors import StoreUnavailable
from jobx.kv import keys
from jobx.kv.changes import Changed, Changes
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import request_entity
from jobx.kv.store import Entry, Put
from tests.support.waiting import eventually_soon

KEY = RequestKey("w", "r1")
OPEN = model.Request(
    workflow_name="w", request_id="r1", job_name="j", invocation_id="m0", accepted_at=1.0
)
ENDED = replace(OPEN, state="succeeded", is_done=True, finished_at=2.0)
STORED = keys.entity("request", *KEY)
LISTED = keys.listed("w", "succeeded", "r1")


class Store(MemoryStore):
    """Fails so many reads of requests, and so many looks at what changed."""

    def __init__(self) -> None:
        super().__init__()
        self.failing_reads = self.failing_looks = 0
        self.followed = 0
        self.commit([Put(STORED, request_entity.encode(OPEN))])

    def get(self, key: str) -> Entry | None:
        if key == STORED and self.failing_reads:
            self.failing_reads -= 1
            raise StoreUnavailable("away")
        return super().get(key)

    def changes(self, prefix: str) -> Any:
        self.followed += 1
        return _Failing(self, super().changes(prefix))

    def end(self) -> None:
        self.commit([Put(STORED, request_entity.encode(ENDED)), Put(LISTED, b"")])


class _Failing:
    def __init__(self, store: Store, inner: Changes) -> None:
        self._store, self._inner = store, inner

    def next(self, timeout_s: float) -> Changed:
        if self._store.failing_looks:
            self._store.failing_looks -= 1
            raise StoreUnavailable("away")
        return self._inner.next(timeout_s)


class Stage:
    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self.store = Store()
        self.ended: list[model.Request] = []
        self.ends = Ends(self.store, self.store.changes, threads, self.ended.append)

    async def until_ended(self, count: int = 1) -> None:
        await eventually_soon(lambda: len(self.ended) >= count, 30.0)
        assert self.ended == [ENDED] * len(self.ended)

    async def until_followed(self) -> None:
        """Wait until the thread has looked, so that what follows is heard of."""
        await eventually_soon(lambda: self.store.followed > 0, 30.0)


@contextmanager
def stage() -> Iterator[Stage]:
    with ThreadPoolExecutor(2) as threads:
        made = Stage(threads)
        yield made
        made.ends.close()


def play(scene: Callable[[Stage], Awaitable[None]]) -> None:
    async def run() -> None:
        with stage() as made:
            await scene(made)

    asyncio.run(run())


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0.01)
    monkeypatch.setattr(module, "LOOK_S", 0.2)


def test_an_end_is_heard_of_while_it_is_followed() -> None:
    async def scene(made: Stage) -> None:
        with made.ends.following(KEY):
            await made.until_followed()
            assert not made.ended
            made.store.end()
            await made.until_ended()

    play(scene)


def test_an_end_that_came_just_before_is_reported() -> None:
    async def scene(made: Stage) -> None:
        made.store.end()
        with made.ends.following(KEY):
            await made.until_ended()

    play(scene)


def test_an_end_is_reported_to_those_who_follow_while_others_do() -> None:
    async def scene(made: Stage) -> None:
        with made.ends.following(RequestKey("w", "another")):
            await made.until_followed()
            with made.ends.following(KEY):
                made.store.end()
                await made.until_ended()

    play(scene)


def test_a_request_that_is_listed_before_it_has_ended_is_read_again() -> None:
    async def scene(made: Stage) -> None:
        with made.ends.following(KEY):
            await made.until_followed()
            made.store.commit([Put(LISTED, b"")])
            await asyncio.sleep(0.02)  # it may be read too early now
            made.store.commit([Put(STORED, request_entity.encode(ENDED))])
            await made.until_ended()

    play(scene)


@pytest.mark.parametrize("what", ["failing_reads", "failing_looks"])
def test_a_store_that_was_away_costs_no_end(what: str) -> None:
    async def scene(made: Stage) -> None:
        setattr(made.store, what, 3)
        with made.ends.following(KEY):
            made.store.end()
            await made.until_ended()
            await eventually_soon(lambda: getattr(made.store, what) == 0, 30.0)

    play(scene)


def test_a_store_that_is_away_is_waited_for_once_by_all_that_are_read_together() -> None:
    async def scene(made: Stage) -> None:
        made.store.failing_reads = 3
        found = await asyncio.to_thread(made.ends._read, [KEY] * 3)
        assert [type(one) for one in found] == [StoreUnavailable] * 3
        assert made.store.failing_reads == 2

    play(scene)


def test_nothing_is_followed_for_nobody() -> None:
    async def scene(made: Stage) -> None:
        made.store.end()
        await asyncio.sleep(0.05)
        assert (made.store.followed, made.ended) == (0, [])

    play(scene)


def test_who_comes_after_all_have_left_hears_of_an_end() -> None:
    async def scene(made: Stage) -> None:
        with made.ends.following(KEY):
            await made.until_followed()
        with made.ends.following(KEY):
            made.store.end()
            await made.until_ended()

    play(scene)


def test_many_ends_are_all_reported() -> None:
    async def scene(made: Stage) -> None:
        found = [RequestKey("w", f"many{number}") for number in range(3 * module.MOST)]
        for key in found:
            stored = replace(ENDED, request_id=key.request_id)
            put = Put(keys.entity("request", *key), request_entity.encode(stored))
            made.store.commit([put])
        follows = [made.ends.following(key) for key in found]
        for follow in follows:
            follow.__enter__()
        await eventually_soon(lambda: len(made.ended) >= len(found), 30.0)
        assert {one.request_id for one in made.ended} == {key.request_id for key in found}
        for follow in follows:
            follow.__exit__(None, None, None)

    play(scene)
