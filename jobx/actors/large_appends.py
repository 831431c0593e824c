"""Appends that need a blob wait for it here, where they hold up no commit.

That is the blob of a large event, which is written, or one that an event names, which is synced.

The shared place of the blobs may hang while the store is well. So a fault of a blob is one of its
request alone: what was accepted is tried again, what is new is refused.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from msgspec import Struct
from msgspec.structs import replace
from thespian.actors import ActorAddress

from jobx.actors.messages import RequestKey
from jobx.errors import InternalError, JobxError
from jobx.kv.large_events import LargeEvents, is_large
from jobx.kv.store import STORE_FAULTS, Store, Unit
from jobx.system.backoff import doubled

#: Blobs that are written in parallel.
WRITERS: Final = 4
#: First and longest wait before a blob is tried again.
RETRY_S: Final = (0.2, 5.0)

_log = logging.getLogger(__name__)


class Append(Struct, frozen=True):
    """The unit of one event, who hears what became of it, and what must be done first."""

    owner: ActorAddress
    number: int
    unit: Unit
    is_urgent: bool
    first: Callable[[], object] | None = None


class _Held(Struct, eq=False):
    """The appends of one request from the first on whose blob is awaited."""

    appends: list[Append]
    failed: int = 0


class LargeAppends:
    """Holds appends until their blobs are durable; runs on the node's loop.

    Args:
        store: The store; only one with LargeEvents writes events to blobs.
        loop: The node's event loop.
        join: Called with each append in its turn; a large event is a pointer then.
        refuse: Called with an append that cannot be written; those after it are dropped.

    Attributes:
        held: What is held, by request.
    """

    def __init__(
        self,
        store: Store,
        loop: asyncio.AbstractEventLoop,
        join: Callable[[RequestKey, Append], None],
        refuse: Callable[[RequestKey, ActorAddress, JobxError], None],
    ) -> None:
        self._store = store if isinstance(store, LargeEvents) else None
        self._loop = loop
        self._join = join
        self._refuse = refuse
        self._threads = ThreadPoolExecutor(WRITERS, thread_name_prefix="large-events")
        self.held: dict[RequestKey, _Held] = {}

    def holds(self, key: RequestKey, append: Append) -> bool:
        """Hold an append that must wait, or follows one; return whether it is held."""
        held = self.held.get(key)
        if held is not None:
            held.appends.append(append)
            return True
        if not self._must_wait(append):
            return False
        self.held[key] = held = _Held([append])
        self._place(key, held)
        return True

    def forget(self, key: RequestKey) -> None:
        """Drop the appends of a request."""
        self.held.pop(key, None)

    def close(self) -> None:
        """Begin no further blob."""
        self.held.clear()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _must_wait(self, append: Append) -> bool:
        if append.first is not None:
            return True
        return self._store is not None and is_large(append.unit)

    def _place(self, key: RequestKey, held: _Held) -> None:
        """Make the blob of the first append durable, unless that was dropped meanwhile."""
        if self.held.get(key) is held:
            place = partial(self._made_ready, held.appends[0])
            call = self._loop.run_in_executor(self._threads, place)
            call.add_done_callback(partial(self._placed, key, held))

    def _made_ready(self, append: Append) -> Unit:
        """Return what is to be committed once all that it names is durable; blocks."""
        if append.first is not None:
            append.first()
        return append.unit if self._store is None else self._store.placed(append.unit)

    def _placed(self, key: RequestKey, held: _Held, call: asyncio.Future[Unit]) -> None:
        if call.cancelled():  # by close
            return
        error = call.exception()
        if self.held.get(key) is not held:
            return
        first = held.appends[0]
        if error is None:
            self._go_on(key, held, replace(first, unit=call.result(), first=None))
        elif isinstance(error, STORE_FAULTS) and first.number:
            if not held.failed:
                _log.warning("request %s waits for a blob: %s", key, error)
            delay_s = doubled(RETRY_S[0], held.failed, RETRY_S[1])
            held.failed += 1
            self._loop.call_later(delay_s, self._place, key, held)
        else:
            if not isinstance(error, JobxError):
                error = InternalError(f"a blob cannot be written: {error!r}")
            self.forget(key)
            self._refuse(key, first.owner, error)

    def _go_on(self, key: RequestKey, held: _Held, first: Append) -> None:
        """Let go of appends up to the next that must wait."""
        held.failed = 0
        held.appends[0] = first
        while held.appends and not self._must_wait(held.appends[0]):
            self._join(key, held.appends.pop(0))
        if held.appends:
            self._place(key, held)
        else:
            self.forget(key)
