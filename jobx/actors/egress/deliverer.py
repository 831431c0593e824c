"""Delivers durable results until this has worked or is given up.

The decision to deliver is committed with the last event of a request. Every try is recorded before
it begins and after it has ended. So the node continues after a kill. If the receiver may have a
result whose record is missing, the node delivers it again under the same delivery id.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from jobx import model
from jobx.actors.egress.outcomes import after_try, given_up
from jobx.actors.egress.writers.base import Names, Result
from jobx.actors.egress.writers.registry import Writers
from jobx.actors.messages import RequestKey
from jobx.actors.notification import Notification
from jobx.actors.threads import BoundedCalls, in_daemon
from jobx.config_sections import ResultSettings
from jobx.errors import EntryDamaged, JobxError, NotFound
from jobx.kv.blobs import BlobFolder
from jobx.kv.requests import deliveries, request_entity
from jobx.kv.store import Store
from jobx.model import Delivery
from jobx.system.backoff import luck
from jobx.system.errors import confirm_room

#: Deliveries that are tried at the same time.
CONCURRENT: Final = 4
#: Deliveries in memory; further ones are read from the store when there is room.
MAX_KNOWN: Final = 10_000
#: Pause after the store failed.
STORE_AGAIN_S: Final = 2.0
#: Pause after a look at a delivery that cannot be read, until somebody mends or removes it.
DAMAGED_AGAIN_S: Final = 600.0
_TICK_S: Final = 0.02

_log = logging.getLogger(__name__)


def _ignore(_: str) -> None:
    """Do nothing: nobody counts."""


class Deliverer:
    """Carries out the deliveries of a node. It runs on the node's loop, writers run in threads.

    Args:
        node_id: The node.
        store: Where deliveries are.
        blobs: Where large results are.
        writers: The result writers.
        settings: Limits and retries.
        notify: Gets a notification for each delivery that is given up.
        now_at: The wall clock: due times outlive the process.
        tried: Called with the outcome of each try: ``delivered``, ``again`` or ``given_up``.
    """

    def __init__(
        self,
        node_id: str,
        store: Store,
        blobs: BlobFolder,
        writers: Writers,
        settings: ResultSettings,
        *,
        notify: Callable[[Notification], None],
        now_at: Callable[[], float],
        tried: Callable[[str], object] = _ignore,
    ) -> None:
        self._node_id = node_id
        self._store = store
        self._blobs = blobs
        self._writers = writers
        self._settings = settings
        self._notify = notify
        self._now_at = now_at
        self._tried = tried
        self._loop = asyncio.get_running_loop()
        self._known: set[RequestKey] = set()
        self._due: list[tuple[float, RequestKey]] = []
        self._active: set[asyncio.Task[None]] = set()
        self._calls = BoundedCalls()
        #: Deliveries after a try that could not be recorded yet; None for a removed one.
        self._unsaved: dict[RequestKey, Delivery | None] = {}
        self._has_more = False
        self._is_closing = False
        self._timer: asyncio.Handle | None = None

    def begin(self, key: RequestKey, delay_s: float = 0.0) -> None:
        """Deliver the result of a request, if it has a destination."""
        if key in self._known:
            return
        if len(self._known) >= MAX_KNOWN:
            self._has_more = True
            return
        self._known.add(key)
        self._again(key, delay_s)

    async def redeliver(self, key: RequestKey) -> None:
        """Deliver a result again under the same delivery id; one in progress is not changed.

        Raises:
            NotFound: The request had nothing to deliver.
            JobxError: The store failed.
        """
        if key in self._known and await in_daemon("delivery", lambda: self._is_here(key)):
            return
        renewed = partial(deliveries.renew, self._store, self._node_id, *key)
        if await in_daemon("delivery", renewed):  # else another node is at it
            self.begin(key)

    def _is_here(self, key: RequestKey) -> bool:
        """Whether a known delivery has not moved to another node, which this one was lost to."""
        return deliveries.is_of(self._store, self._node_id, *key)

    async def resume(self) -> None:
        """Resume the deliveries in the store; raises the errors of the store."""
        limit = MAX_KNOWN + 1
        found = await in_daemon(
            "deliveries", lambda: deliveries.undelivered(self._store, self._node_id, limit)
        )
        self._has_more = len(found) == limit
        for names in found:
            self.begin(RequestKey(*names))

    @property
    def open(self) -> int:
        """Number of deliveries that it knows and that have not ended."""
        return len(self._known)

    async def close(self, is_over: Callable[[], bool]) -> None:
        """Wait for due deliveries until time is up; the rest continues when the next node starts.

        Args:
            is_over: Tells whether time is up.
        """
        while self._is_busy() and not is_over():
            await asyncio.sleep(_TICK_S)
        self._is_closing = True
        if self._timer is not None:
            self._timer.cancel()
        for active in self._active:
            active.cancel()

    def _is_busy(self) -> bool:
        return bool(self._active) or bool(self._due and self._due[0][0] <= self._loop.time())

    def _again(self, key: RequestKey, delay_s: float) -> None:
        heapq.heappush(self._due, (self._loop.time() + delay_s, key))
        self._pump()

    def _pump(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._due and len(self._active) < CONCURRENT and not self._is_closing:
            due = self._due[0][0]
            if due > self._loop.time():
                self._timer = self._loop.call_at(due, self._pump)
                return
            _, key = heapq.heappop(self._due)
            active = self._loop.create_task(self._deliver(key))
            self._active.add(active)
            active.add_done_callback(partial(self._delivered, key))

    def _delivered(self, key: RequestKey, active: asyncio.Task[None]) -> None:
        self._active.discard(active)
        if not active.cancelled() and (error := active.exception()) is not None:
            self._known.discard(key)  # the next call restarts it
            text = "the delivery of %s is left until the next start"
            _log.error(text, key, exc_info=error)
        self._pump()

    async def _deliver(self, key: RequestKey) -> None:
        try:
            delivery = await self._attempt(key)
        except EntryDamaged as error:
            _log.error("the delivery of %s waits until it can be read: %s", key, error)
            self._again(key, DAMAGED_AGAIN_S)
            return
        except JobxError as error:
            _log.warning("the delivery of %s is not recorded yet: %s", key, error)
            self._again(key, STORE_AGAIN_S)
            return
        if delivery is not None:
            self._tried("again" if delivery.state == deliveries.PENDING else delivery.state)
        if delivery is not None and delivery.state == deliveries.PENDING:
            self._again(key, self._delay_s(delivery))
            return
        self._known.discard(key)
        if delivery is not None and delivery.state == deliveries.GIVEN_UP:
            self._notify(given_up(key, delivery))
        if self._has_more and len(self._known) <= MAX_KNOWN // 2:
            await self.resume()

    def _delay_s(self, delivery: Delivery) -> float:
        left_s = (delivery.next_at or 0.0) - self._now_at()
        return min(max(left_s, 0.0), self._settings.max_backoff_s)

    async def _attempt(self, key: RequestKey) -> Delivery | None:
        """Try once and return the new state of the delivery, None if it was removed.

        An outcome that cannot be recorded is kept, so that a failing store repeats no delivery.

        Raises:
            JobxError: The store failed.
        """
        if key not in self._unsaved:
            begun = await in_daemon("delivery", lambda: self._begin(key))
            self._unsaved[key] = await self._try(*begun) if begun is not None else None
        after = await in_daemon("delivery", lambda: self._note(key, self._unsaved[key]))
        del self._unsaved[key]
        return after

    async def _try(self, request: model.Request, begun: Delivery) -> Delivery:
        error = await self._write(request, begun)
        return after_try(begun, error, self._settings, self._now_at(), luck())

    async def _write(self, request: model.Request, delivery: Delivery) -> Exception | None:
        """Write a result within its time limit; return the error, or None."""
        kind, limit_s = f"result writer {delivery.writer}", self._settings.time_limit_s
        try:
            await self._calls.run(kind, lambda: self._call_writer(request, delivery), limit_s)
        except JobxError as error:
            return error
        except Exception as error:  # noqa: BLE001 - a writer may be anybody's
            _log.warning("%s failed", kind, exc_info=True)
            return error
        return None

    def _begin(self, key: RequestKey) -> tuple[model.Request, Delivery] | None:
        """Record the start of a try; return None if there is nothing to try.

        Another node may have taken it over, which this one was lost to.
        """
        found = deliveries.get(self._store, *key)
        if found is None or found[0].state != deliveries.PENDING:
            return None
        if not deliveries.is_of(self._store, self._node_id, *key):
            return None
        try:
            request = request_entity.get(self._store, *key)
        except NotFound:
            return None
        begun = msgspec.structs.replace(found[0], attempts=found[0].attempts + 1)
        is_saved = deliveries.save(self._store, self._node_id, key, begun)
        return (request, begun) if is_saved else None

    def _note(self, key: RequestKey, after: Delivery | None) -> Delivery | None:
        """Record the outcome of a try, unless the request was removed meanwhile."""
        if after is not None and deliveries.save(self._store, self._node_id, key, after):
            return after
        deliveries.drop(self._store, self._node_id, *key)
        return None

    def _call_writer(self, request: model.Request, delivery: Delivery) -> None:
        names = Names(request.workflow_name, request.job_name, request.request_id)
        result = Result(
            names,
            delivery.delivery_id,
            request.result_pairs or 0,
            request.result or (),
            self._blobs.readable(self._blobs.name(request.workflow_name, request.request_id)),
        )
        given = request.destination.options if request.destination else {}
        writer = self._writers.writer(delivery.writer)
        try:
            writer.write(result, self._writers.options(delivery.writer, given))
        except Exception as error:
            confirm_room(error)
            raise
