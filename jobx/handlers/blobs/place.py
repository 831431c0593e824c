"""Calls to a place that may refuse for a while, or never answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any, Final, TypeVar

from jobx.errors import JobxError, StoreFull, StoreUnavailable
from jobx.handlers.files.backend import BackEnd
from jobx.handlers.files.files import OWN_THREADS
from jobx.system.backoff import doubled
from jobx.system.errors import FULL

T = TypeVar("T")

#: A call has the time of an answer, and as long as its bytes take at this pace …
LEAST_BYTES_S: Final = 1 << 20
#: … but with its repeats no longer than this: a node kills executors that answer for longer
#: (``PASSAGE_S``).
MOST_S: Final = 240.0
#: Calls that hang; while there are so many, the place is not asked again.
MOST_HUNG: Final = 4
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 2.0
#: What is asked for again while there is patience.
_PASSING: Final = (StoreUnavailable, StoreFull)


class PlaceClient:
    """A place, opened when it is first needed; for any thread.

    Args:
        where: Its URL, for people.
        connect: Opens it; raises an OSError if that fails.
        timeout_s: How long a call may take, beside the time for its bytes.
        patience_s: How long a call that the place refuses is repeated.
    """

    def __init__(
        self, where: str, connect: Callable[[], BackEnd], timeout_s: float, patience_s: float
    ) -> None:
        self.where = where
        self._connect = connect
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._connected: BackEnd | None = None
        self._lock = threading.Lock()
        #: Held for a moment only, and for the three below it; the other one, while it connects.
        self._counting = threading.Lock()
        self._hung: list[threading.Thread] = []
        self._asked: set[Future[Any]] = set()
        self._is_closed = False

    def call(self, ask: Callable[[BackEnd], T], size_bytes: int = 0) -> T:
        """Return what ``ask`` makes of the place; asked again while the place refuses.

        Args:
            ask: What is asked, in another thread; its OSErrors are translated.
            size_bytes: What is moved, which adds to the time that it may take.

        Raises:
            StoreFull: There is no room.
            StoreUnavailable: The place does not answer, or refuses.
            JobxError: What ``ask`` raises.
        """
        began = time.monotonic()
        limit_s = self._timeout_s + size_bytes / LEAST_BYTES_S
        tries = 0
        while True:
            left_s = began + MOST_S - time.monotonic()
            try:
                return self._within(min(limit_s, left_s), lambda: ask(self._back_end()))
            except _PASSING:
                pause_s = doubled(_FIRST_PAUSE_S, tries, _LONGEST_PAUSE_S)
                if self._is_closed or time.monotonic() + pause_s > began + self._patience_s:
                    raise
            tries += 1
            time.sleep(pause_s)

    def close(self) -> None:
        """End all calls, also those under way, as unavailable; in an executor nobody calls it."""
        with self._counting:
            self._is_closed = True
            asked = list(self._asked)
        for answer in asked:
            _settle(answer.set_exception, self._unavailable("the node stops"))

    def _within(self, limit_s: float, call: Callable[[], T]) -> T:
        """Return what ``call`` returns in another thread, which is left alone if it hangs."""
        answer: Future[T] = Future()
        self._begin(answer)

        def run() -> None:
            try:
                result = call()
                _settle(answer.set_result, result)
            except OSError as error:
                _settle(answer.set_exception, self._translated(error))
            except BaseException as error:  # noqa: BLE001 - handed to who waits
                _settle(answer.set_exception, error)

        thread = threading.Thread(target=run, name=f"{OWN_THREADS}-blobs", daemon=True)
        try:
            thread.start()
            return answer.result(max(limit_s, 0.0))
        except TimeoutError as error:
            raise self._unavailable(f"no answer within {limit_s:g} s") from error
        finally:
            with self._counting:
                self._asked.discard(answer)
                if not answer.done():
                    self._hung.append(thread)

    def _begin(self, answer: Future[Any]) -> None:
        """Note a call, unless the place is closed, or too many calls hang."""
        with self._counting:
            if self._is_closed:
                raise self._unavailable("the node stops")
            self._hung = [thread for thread in self._hung if thread.is_alive()]
            if len(self._hung) >= MOST_HUNG:
                raise self._unavailable(f"{MOST_HUNG} calls hang")
            self._asked.add(answer)

    def _back_end(self) -> BackEnd:
        with self._lock:
            if self._connected is None:
                self._connected = self._connect()
            return self._connected

    def _translated(self, error: OSError) -> JobxError:
        reason = error.strerror or str(error) or type(error).__name__
        if error.errno in FULL:
            return StoreFull(self.where, reason)
        return self._unavailable(reason)

    def _unavailable(self, reason: str) -> StoreUnavailable:
        return StoreUnavailable(f"large values in {self.where}: {reason}")


def _settle(settle: Callable[[Any], None], outcome: object) -> None:
    with suppress(InvalidStateError):  # nobody waits for it any more
        settle(outcome)
