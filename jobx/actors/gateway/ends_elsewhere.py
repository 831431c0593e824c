"""Hears how requests end that other nodes coordinate, while callers here wait for some.

A request that ends is listed in the store. A thread follows the list: one for all callers, and only
while there are some. What it hears of is read, and those that wait for it get their answer.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Final, TypeAlias

from jobx import model
from jobx.actors.messages import RequestKey
from jobx.errors import JobxError, NotFound, StoreUnavailable
from jobx.kv import keys
from jobx.kv.changes import Changed, Changes
from jobx.kv.requests import request_entity
from jobx.kv.store import Store

#: How long the thread looks at most before it checks whether it is still needed.
LOOK_S: Final = 3.0
#: A request whose end is not there yet, or could not be read, is read again after this.
AGAIN_S: Final = 0.05
#: Wait after a store that did not answer, and between gaps.
PAUSE_S: Final = 0.5
#: Requests that are read together.
MOST: Final = 64

#: A request, or why it could not be read.
_Found: TypeAlias = model.Request | JobxError

_LOG: Final = logging.getLogger(__name__)


class Ends:
    """Follows the ends of requests. On the loop only, its thread aside.

    Args:
        store: The store.
        follow: Begins to follow the keys with a prefix.
        threads: The threads for blocking reads.
        ended: Called with each request that has ended and that somebody waits for.
    """

    def __init__(
        self,
        store: Store,
        follow: Callable[[str], Changes],
        threads: Executor,
        ended: Callable[[model.Request], None],
    ) -> None:
        self._store = store
        self._follow = follow
        self._threads = threads
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._wanted: Counter[RequestKey] = Counter()
        #: Requests to read, with whether their end was heard of.
        self._due: dict[RequestKey, bool] = {}
        self._reading: asyncio.Task[None] | None = None
        self._is_needed, self._stopped = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def following(self, key: RequestKey) -> Iterator[None]:
        """Report the end of a request in the course of a ``with``, also if it is there already."""
        self._wanted[key] += 1
        self._is_needed.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="ends", daemon=True)
            self._thread.start()
        self._look([key], is_heard=False)
        try:
            yield
        finally:
            self._wanted[key] -= 1
            if not self._wanted[key]:
                del self._wanted[key]
            if not self._wanted:
                self._is_needed.clear()

    def close(self) -> None:
        """Report nothing more."""
        self._stopped.set()
        self._is_needed.set()
        if self._reading is not None:
            self._reading.cancel()

    def _look(self, found: Iterable[RequestKey], *, is_heard: bool) -> None:
        for key in found:
            if key in self._wanted:
                self._due[key] = self._due.get(key, False) or is_heard
        if self._due and self._reading is None and not self._stopped.is_set():
            self._reading = self._loop.create_task(self._read_due())

    async def _read_due(self) -> None:
        try:
            while self._due:
                some = dict(islice(self._due.items(), MOST))
                for key in some:
                    del self._due[key]
                found = await self._loop.run_in_executor(self._threads, self._read, list(some))
                for (key, is_heard), one in zip(some.items(), found, strict=True):
                    self._take(key, is_heard, one)
        except RuntimeError:  # the threads have ended, with the node
            self._stopped.set()
        finally:
            self._reading = None

    def _read(self, wanted: list[RequestKey]) -> list[_Found]:
        """Read requests; a store that does not answer for one is not waited for by each."""
        found: list[_Found] = []
        for key in wanted:
            last = found[-1] if found else None
            found.append(last if isinstance(last, StoreUnavailable) else self._read_one(key))
        return found

    def _read_one(self, key: RequestKey) -> _Found:
        try:
            return request_entity.get(self._store, *key)
        except JobxError as error:
            return error

    def _take(self, key: RequestKey, is_heard: bool, found: _Found) -> None:
        """Report an end; read again what could not be read, or is listed before it has ended."""
        if isinstance(found, model.Request) and found.is_done:
            self._ended(found)
            return
        is_unread = isinstance(found, JobxError) and not isinstance(found, NotFound)
        if is_heard or is_unread:
            delay_s = PAUSE_S if is_unread else AGAIN_S
            self._loop.call_later(delay_s, lambda: self._look([key], is_heard=is_heard))

    def _saw(self, changed: Changed) -> None:
        if changed.has_gap:
            self._look(list(self._wanted), is_heard=False)
        ended = (keys.ended(key) for key in changed.keys)
        self._look((RequestKey(*names) for names in ended if names), is_heard=True)

    def _run(self) -> None:
        while not self._stopped.is_set():
            if self._is_needed.wait(LOOK_S):
                self._follow_until_idle(self._follow(keys.LISTED))

    def _follow_until_idle(self, changes: Changes) -> None:
        had_gap = has_failed = False
        while self._is_needed.is_set() and not self._stopped.is_set():
            try:
                changed = changes.next(LOOK_S)
            except JobxError as error:
                if not has_failed and not self._stopped.is_set():
                    _LOG.warning("how requests end on other nodes is not known: %s", error)
                has_failed = True
                self._stopped.wait(PAUSE_S)
                continue
            has_failed = False
            if changed.has_gap and had_gap:
                self._stopped.wait(PAUSE_S)
            had_gap = changed.has_gap
            if changed.keys or changed.has_gap:
                self._tell(changed)

    def _tell(self, changed: Changed) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._saw, changed)
