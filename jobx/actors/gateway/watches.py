"""Those who watch requests: long polls, answered by one fold a request, however many they are.

A loop a watched request waits until an event is committed, has a reader fold it, and answers all
who wait, at most five times a second. The log writer says what is committed here. What another
node writes is looked for now and then, so a request may change its coordinator meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Final, NamedTuple, TypeAlias

from jobx import questions, views
from jobx.actors.gateway.server import Table
from jobx.actors.inspection.folding import progress
from jobx.actors.messages import RequestKey
from jobx.errors import InvalidInput, JobxError, Overloaded, Unavailable

#: Shortest time between two folds of a request.
PAUSE_S: Final = 0.2
#: How often the log of a request is looked at that another node coordinates …
ELSEWHERE_S: Final = 0.5
#: … and one of this node, in case another node has taken it over.
HERE_S: Final = 5.0
#: How long who does not wait for news waits for a look.
LOOK_S: Final = 30.0
#: Requests that are watched at once.
MOST_REQUESTS: Final = 1000
#: Events of which one fold says what came since; more wait for the next one.
MOST_PLACES: Final = 64
#: Folds that are asked for at once: readers answer two questions, and have room for others.
MOST_FOLDS: Final = 1
#: Tries of a fold whose reader fails, before its watchers hear of it.
TRIES: Final = 3
#: When a refused watcher should come again.
AGAIN_S: Final = 5.0

#: Asks a reader for the summary of a request, and what came since each of some events.
Fold: TypeAlias = Callable[[questions.ReadProgress], Awaitable[views.ProgressView]]
#: What the log writer calls with the number of a committed event, by request.
Committed: TypeAlias = dict[RequestKey, Callable[[int], object]]


class Watches:
    """Answers long polls. On the node's loop only.

    Args:
        node_id: This node.
        fold: See ``Fold``.
        committed: Has a function for each watched request, and nothing for others.
    """

    def __init__(self, node_id: str, fold: Fold, committed: Committed) -> None:
        self._node_id = node_id
        self._fold = fold
        self._committed = committed
        self._watched: dict[RequestKey, _Watched] = {}
        self._folds = asyncio.Semaphore(MOST_FOLDS)

    def table(self) -> Table:
        """Return what answers each kind of question."""
        return {questions.WatchRequest: self.watch}

    async def watch(self, asked: questions.WatchRequest) -> views.WatchView:
        """Return what came since an event, as soon as there is something; else that event alone.

        Raises:
            InvalidInput: There is no such event yet.
            Overloaded: Too many requests are watched.
            JobxError: Of the reader.
        """
        one = self._one(RequestKey(asked.workflow, asked.request_id))
        with one.since(_Seen(asked.after, asked.wait_s > 0)) as found:
            await asyncio.wait((found,), timeout=asked.wait_s or LOOK_S)
            return found.result() if found.done() else views.WatchView(as_of=asked.after)

    def close(self) -> None:
        """Answer nobody any more."""
        for one in self._watched.values():
            one.following.cancel()
            one.fail(Unavailable("the node is stopping"))

    def _one(self, key: RequestKey) -> _Watched:
        one = self._watched.get(key)
        if one is not None:
            return one
        if len(self._watched) >= MOST_REQUESTS:
            raise Overloaded(f"{MOST_REQUESTS} requests are watched", AGAIN_S)
        one = self._watched[key] = _Watched(key)
        one.following = asyncio.get_running_loop().create_task(self._follow(one))
        self._committed[key] = one.heard
        return one

    async def _follow(self, one: _Watched) -> None:
        """Fold a request again and again while somebody watches it."""
        try:
            while await one.news(HERE_S if one.coordinator == self._node_id else ELSEWHERE_S):
                await self._answer(one)
                await asyncio.sleep(PAUSE_S)
                if not one.waiting:
                    return  # who goes on has asked again by now
        finally:
            del self._watched[one.key], self._committed[one.key]

    async def _answer(self, one: _Watched) -> None:
        seen = list(islice(one.waiting, MOST_PLACES))
        after = tuple(dict.fromkeys(number for number, _ in seen))
        workflow, request_id = one.key
        asked = questions.ReadProgress(workflow=workflow, request_id=request_id, after=after)
        try:
            async with self._folds:
                found = await self._fold(asked)
        except JobxError as error:
            one.failures += 1
            if one.failures >= TRIES or not isinstance(error, Unavailable):
                one.fail(error)
            one.stir()
            return
        one.take(seen, dict(zip(after, found.since, strict=True)), found)


class _Seen(NamedTuple):
    """The last event that somebody has seen, and whether he waits for the next one."""

    after: int
    waits: bool


class _Place:
    """Those who have seen the same, and what they get."""

    def __init__(self) -> None:
        self.count = 0
        self.found: asyncio.Future[views.WatchView] = asyncio.get_running_loop().create_future()


class _Watched:
    """One request that is watched.

    Attributes:
        key: It.
        following: What folds it.
        coordinator: The node that coordinates it, as far as is known.
        waiting: Who waits, by what they have seen.
        failures: Folds that failed, one after the other.
    """

    following: asyncio.Task[None]

    def __init__(self, key: RequestKey) -> None:
        self.key = key
        self.coordinator: str | None = None
        self.waiting: dict[_Seen, _Place] = {}
        self.failures = 0
        #: The last event that is committed, as far as is known, and the last one that was folded.
        self._heard = self._folded = -1
        self._stirred = asyncio.Event()

    def heard(self, number: int) -> None:
        """Take note that an event is committed."""
        self._heard = max(self._heard, number)
        self.stir()

    @contextmanager
    def since(self, seen: _Seen) -> Iterator[asyncio.Future[views.WatchView]]:
        """Give a future of what comes after what was seen, for the length of a ``with``."""
        place = self.waiting.get(seen)
        if place is None:
            place = self.waiting[seen] = _Place()
        place.count += 1
        self.stir()
        try:
            yield place.found
        finally:
            place.count -= 1
            if not place.count and self.waiting.get(seen) is place:
                del self.waiting[seen]

    async def news(self, look_s: float) -> bool:
        """Wait until there is something to fold, or might be; False: nobody waits any more."""
        with suppress(TimeoutError):
            async with asyncio.timeout(look_s):
                while True:
                    await self._stirred.wait()
                    self._stirred.clear()
                    if self.waiting:
                        return True
        return bool(self.waiting)

    def take(
        self, asked: Sequence[_Seen], since: Mapping[int, views.Since], found: views.ProgressView
    ) -> None:
        """Answer those for whom a fold has something, or who do not wait."""
        summary = found.summary
        self.failures, self._folded = 0, summary.as_of
        self.coordinator = summary.request.coordinator
        for seen in asked:
            if seen.after > self._folded:
                reason = f"the last event so far is {self._folded}"
                self._settle(seen, InvalidInput("after", str(seen.after), reason))
            elif seen.after < self._folded or found.is_end:
                self._settle(seen, progress.view_of(found, since[seen.after]))
            elif not seen.waits:
                self._settle(seen, views.WatchView(as_of=seen.after))
        self.stir()

    def fail(self, error: JobxError) -> None:
        """Tell all who wait that there is no answer."""
        self.failures = 0
        for seen in list(self.waiting):
            self._settle(seen, error)

    def stir(self) -> None:
        """Have the request folded if somebody waits for what is there already."""
        if self.waiting and (
            self._heard > self._folded or any(seen != (self._folded, True) for seen in self.waiting)
        ):
            self._stirred.set()

    def _settle(self, seen: _Seen, answer: views.WatchView | JobxError) -> None:
        place = self.waiting.pop(seen, None)
        if place is None:
            return  # they have left
        if isinstance(answer, JobxError):
            place.found.set_exception(answer)
            place.found.exception()  # so that nothing is logged where all have left meanwhile
        else:
            place.found.set_result(answer)
