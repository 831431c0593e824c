from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace

from jobx import views
from jobx.actors.gateway import watches as module
from jobx.actors.gateway.watches import Committed, Watches
from jobx.actors.messages import RequestKey
from jobx.errors import InvalidInput, JobxError, NotFound, Overloaded, Unavailable
from jobx.questions import ReadProgress, WatchRequest
from tests.support.waiting import eventually_soon

KEY = RequestKey("w", "r1")
REQUEST = views.RequestView(
    request_id="r1", workflow_name="w", job_name="j", state="running", is_blocking=False,
    accepted_at=1.0, coordinator="n1",
)  # fmt: skip


class Log:
    """A log of so many events, and the folds of it that were asked for."""

    def __init__(self) -> None:
        self.last = 0
        self.is_ended = False
        self.asked: list[tuple[int, ...]] = []
        self.times: list[float] = []
        self.errors: list[JobxError] = []
        self.coordinator = "n1"
        self.committed: Committed = {}
        self.watches = Watches("n1", self.fold, self.committed)

    async def fold(self, asked: ReadProgress) -> views.ProgressView:
        self.asked.append(asked.after)
        self.times.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0)
        if self.errors:
            raise self.errors.pop(0)
        request = replace(REQUEST, coordinator=self.coordinator)
        since = [views.Since(retries=max(0, self.last - after)) for after in asked.after]
        summary = views.SummaryView(request=request, as_of=self.last)
        return views.ProgressView(summary=summary, since=since, is_end=self.is_ended)

    def commit(self, count: int = 1) -> None:
        """Have the log writer say that the log has grown."""
        self.last += count
        if KEY in self.committed:
            self.committed[KEY](self.last)

    async def watch(self, after: int = -1, wait_s: float = 60.0) -> views.WatchView:
        asked = WatchRequest(workflow="w", request_id="r1", after=after, wait_s=wait_s)
        return await self.watches.watch(asked)


def run(test: Callable[[Log], Awaitable[None]]) -> None:
    async def main() -> None:
        log = Log()
        try:
            await test(log)
        finally:
            log.watches.close()

    asyncio.run(main())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0.0)
    monkeypatch.setattr(module, "HERE_S", 30.0)
    monkeypatch.setattr(module, "ELSEWHERE_S", 0.01)


def test_a_watcher_hears_at_once_of_what_is_there() -> None:
    async def test(log: Log) -> None:
        log.last = 7
        found = await log.watch(after=3)
        assert (found.as_of, found.retries, found.is_end) == (7, 4, False)

    run(test)


def test_a_watcher_who_knows_all_hears_of_the_next_committed_event() -> None:
    async def test(log: Log) -> None:
        await log.watch()
        waiting = asyncio.ensure_future(log.watch(after=0))
        await eventually_soon(lambda: KEY in log.committed, 60.0)
        assert not waiting.done()
        log.commit()
        assert (await waiting).as_of == 1

    run(test)


def test_an_event_that_is_committed_between_two_polls_is_not_missed() -> None:
    async def test(log: Log) -> None:
        await log.watch()
        log.commit()
        assert (await log.watch(after=0)).as_of == 1

    run(test)


def test_all_watchers_of_a_request_share_one_fold() -> None:
    async def test(log: Log) -> None:
        log.last = 9
        found = await asyncio.gather(*(log.watch(after) for after in (-1, 3, 3, 8) for _ in "123"))
        assert {one.as_of for one in found} == {9}
        assert [one.retries for one in found[::3]] == [10, 6, 6, 1]
        assert log.asked == [(-1, 3, 8)]

    run(test)


def test_of_many_that_have_seen_different_events_some_wait_for_the_next_fold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_PLACES", 2)

    async def test(log: Log) -> None:
        log.last = 9
        await asyncio.gather(*map(log.watch, range(5)))
        assert log.asked == [(0, 1), (2, 3), (4,)]

    run(test)


def test_folds_of_a_request_keep_their_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0.05)

    async def test(log: Log) -> None:
        found = await log.watch()
        for _ in range(3):
            log.commit()
            found = await log.watch(after=found.as_of)
        gaps = [now - before for before, now in zip(log.times, log.times[1:], strict=False)]
        assert min(gaps) >= 0.045

    run(test)


def test_what_another_node_writes_is_looked_for() -> None:
    async def test(log: Log) -> None:
        log.coordinator = "n2"
        await log.watch()
        waiting = asyncio.ensure_future(log.watch(after=0))
        await asyncio.sleep(0)
        log.last = 1  # and nobody says so
        assert (await waiting).as_of == 1

    run(test)


def test_a_wait_that_is_over_gives_what_the_watcher_knows() -> None:
    async def test(log: Log) -> None:
        await log.watch()
        found = await log.watch(after=0, wait_s=0.01)
        assert (found.as_of, found.summary) == (0, None)

    run(test)


def test_who_waits_for_nothing_gets_what_there_is() -> None:
    async def test(log: Log) -> None:
        assert (await log.watch(after=0, wait_s=0.0)).as_of == 0
        log.last = 2
        assert (await log.watch(after=0, wait_s=0.0)).as_of == 2

    run(test)


@pytest.mark.parametrize("wait_s", [0.0, 60.0])
def test_the_end_is_told_to_who_knows_it(wait_s: float) -> None:
    async def test(log: Log) -> None:
        log.last, log.is_ended = 4, True
        found = await log.watch(after=4, wait_s=wait_s)
        assert (found.as_of, found.is_end) == (4, True)

    run(test)


@pytest.mark.parametrize("wait_s", [0.0, 60.0])
def test_an_event_of_the_future_is_refused_by_name(wait_s: float) -> None:
    async def test(log: Log) -> None:
        with pytest.raises(InvalidInput, match=r"after: the last event so far is 0 \(got 1\)"):
            await log.watch(after=1, wait_s=wait_s)

    run(test)


def test_a_reader_that_dies_is_asked_again() -> None:
    async def test(log: Log) -> None:
        log.errors = [Unavailable("the reader died")] * (module.TRIES - 1)
        assert (await log.watch()).as_of == 0
        assert len(log.asked) == module.TRIES

    run(test)


@pytest.mark.parametrize("error", [NotFound("request", "w/r1"), Unavailable("the reader died")])
def test_a_reader_that_fails_for_good_is_told_of(error: JobxError) -> None:
    async def test(log: Log) -> None:
        log.errors = [error] * module.TRIES
        for found in await asyncio.gather(log.watch(), log.watch(), return_exceptions=True):
            assert found is error

    run(test)


def test_nothing_is_left_of_a_request_that_nobody_watches() -> None:
    async def test(log: Log) -> None:
        log.coordinator = "n2"
        await log.watch()
        await eventually_soon(lambda: not log.committed, 60.0)
        assert not log.watches._watched

    run(test)


def test_a_look_at_a_request_that_has_ended_keeps_no_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "HERE_S", 3600.0)

    async def test(log: Log) -> None:
        log.is_ended = True
        await log.watch(wait_s=0.0)
        await eventually_soon(lambda: not log.watches._watched, 60.0)

    run(test)


def test_a_watcher_who_leaves_leaves_nothing() -> None:
    async def test(log: Log) -> None:
        await log.watch()
        waiting = asyncio.ensure_future(log.watch(after=0))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        watched = log.watches._watched.get(KEY)
        assert watched is None or not watched.waiting

    run(test)


def test_more_requests_than_may_be_are_not_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_REQUESTS", 1)

    async def test(log: Log) -> None:
        waiting = asyncio.ensure_future(log.watch(after=0))
        await asyncio.sleep(0)
        other = WatchRequest(workflow="w", request_id="r2", wait_s=60.0)
        with pytest.raises(Overloaded):
            await log.watches.watch(other)
        log.commit()
        assert (await waiting).as_of == 1

    run(test)


def test_a_node_that_stops_answers_who_waits() -> None:
    async def test(log: Log) -> None:
        await log.watch()
        waiting: Any = asyncio.ensure_future(log.watch(after=0))
        await asyncio.sleep(0)
        log.watches.close()
        with pytest.raises(Unavailable):
            await waiting

    run(test)
