"""Where a request stands: its coordinator is asked, else the store is read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from thespian.actors import ActorAddress

from jobx import model, questions, views
from jobx.actors.gateway.elsewhere import Elsewhere
from jobx.actors.gateway.ends_elsewhere import Ends
from jobx.actors.gateway.waiters import Waiters, within
from jobx.actors.inspection import view_builders
from jobx.actors.messages import Describe, RequestKey
from jobx.actors.ports import Services
from jobx.errors import Conflict, FormUnknown, NotFound, OutcomeUnknown, StoreUnavailable
from jobx.kv.requests import deliveries, request_entity
from jobx.kv.store import Store

T = TypeVar("T")

#: How often the store is checked for the end of a request without a coordinator here …
LOOK_S: Final = 0.5
#: … and how often if ends are followed.
FOLLOWED_S: Final = 20.0
#: How long actors may take to answer a question.
ANSWER_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Finder:
    """Finds requests, and waits for them.

    Attributes:
        node: The adapters of the node.
        store: The store of requests and entities.
        waiters: The callers that wait for answers of actors.
        threads: The threads for blocking reads.
        deliver: Sends a message to an actor.
        supervisor: The root of the actors.
        elsewhere: The other nodes.
        ends: Follows ends on other nodes; None: there are none.
    """

    node: Services
    store: Store
    waiters: Waiters
    threads: Executor
    deliver: Callable[[ActorAddress, object], None]
    supervisor: ActorAddress
    elsewhere: Elsewhere
    ends: Ends | None = None

    def tell(self, message: object) -> None:
        """Send a message to the supervisor of all requests."""
        self.deliver(self.supervisor, message)

    async def wait(self, key: RequestKey, wait_s: float) -> views.Outcome:
        """Return the state of a request once it has ended, or the time has run out."""
        deadline = self.node.now() + wait_s
        while True:
            ended = self.waiters.ended(key)
            try:
                request, is_here = await self.find(key)
                left_s = deadline - self.node.now()
                if request.is_done or left_s <= 0:
                    sent = await self.deliveries(request)
                    return self.outcome(request, sent, is_here=is_here)
                with suppress(Conflict):  # another node has it: read the store
                    last = await self._end(key, ended, left_s, is_here=is_here)
                    if last is not None:
                        return self.outcome(last)
            finally:
                ended.cancel()

    async def _end(
        self, key: RequestKey, ended: asyncio.Future[T], left_s: float, *, is_here: bool
    ) -> T | None:
        """Wait for the end of a request; None: look again."""
        if is_here:
            return await within(ended, left_s)
        if self.ends is None:
            return await within(ended, min(left_s, LOOK_S))
        with self.ends.following(key):
            return await within(ended, min(left_s, FOLLOWED_S))

    async def describe(self, key: RequestKey) -> model.Request:
        """Return the current state of a request: from its coordinator, else from the store."""
        return (await self.find(key))[0]

    async def find(self, key: RequestKey) -> tuple[model.Request, bool]:
        """Return the current state of a request, and whether it has a coordinator on this node."""
        ticket, future = self.waiters.ticket(key)
        self.tell(Describe(key, self.node.gateway, ticket))
        request = await self.told(key, future)
        if request is not None:
            return request, True
        return await self.read(request_entity.get, *key), False

    async def told(
        self, key: RequestKey, future: asyncio.Future[model.Request | None]
    ) -> model.Request | None:
        """Return what the coordinator of a request says; None: there is none, or it is slow.

        A coordinator says nothing of a request before that is durable. So a request that is
        neither described nor stored may exist a moment later, and is never told as missing.

        Raises:
            OutcomeUnknown: It has not been written so far, and may still be.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_S):
                return await future
        try:
            await self.read(request_entity.get, *key)
        except NotFound as error:
            raise _unknown(key) from error
        return None

    async def find_asked(self, key: RequestKey) -> tuple[model.Request, bool]:
        """Return what ``find`` returns of a submitted request, once it is durable.

        Raises:
            OutcomeUnknown: It has not been written yet, and may still be; or nobody can tell now.
        """
        try:
            return await self.find(key)
        except (NotFound, StoreUnavailable) as error:
            raise _unknown(key) from error

    async def read(self, read: Callable[..., T], *arguments: Any) -> T:
        """Return ``read(store, *arguments)``, called in a thread."""
        return await self.in_thread(lambda: read(self.store, *arguments))

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Return what a call returns that blocks."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, call)

    async def deliveries(self, request: model.Request) -> list[model.Delivery]:
        """Return the deliveries of a request as they are now."""
        if deliveries.first(request) is None:
            return []
        return await self.read(deliveries.read, request)

    def outcome(
        self, request: model.Request, sent: Sequence[model.Delivery] = (), *, is_here: bool = True
    ) -> views.Outcome:
        """Return the view of a request that was asked for; ``is_here``: as its coordinator says."""
        blob_dir = self.node.blobs.name(request.workflow_name, request.request_id)
        as_stored = None if is_here or request.is_done else self.where(request)
        return view_builders.outcome(request, blob_dir, as_stored, sent)

    def left(self, request: model.Request) -> FormUnknown | None:
        """Return why this node leaves an open request of its own; None if it does not."""
        key = RequestKey(request.workflow_name, request.request_id)
        return None if self.elsewhere.may_ask(request) else self.node.left.reason(key)

    def where(self, request: model.Request) -> str:
        """Return why an open request has no coordinator here."""
        left = self.left(request)
        return self.elsewhere.where(request) if left is None else str(left)


def key_of(asked: questions.OfRequest[Any]) -> RequestKey:
    """Return the request that a question is about."""
    return RequestKey(asked.workflow, asked.request_id)


def _unknown(key: RequestKey) -> OutcomeUnknown:
    reason = "the store has not answered yet; look for the request later"
    return OutcomeUnknown(f"request {key.request_id}", reason)
