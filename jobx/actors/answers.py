"""Who waits for which request: futures that the mail of coordinators resolves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from thespian.actors import ActorAddress

from jobx import model
from jobx.actors.messages import Described, Ended, Opened, Refused, RequestKey

T = TypeVar("T")


class Answers:
    """The mailbox of the gateway. Runs on the node's loop."""

    def __init__(self) -> None:
        self._opened: dict[RequestKey, list[asyncio.Future[model.Request]]] = {}
        self._ended: dict[RequestKey, list[asyncio.Future[model.Request]]] = {}
        self._described: dict[int, asyncio.Future[model.Request | None]] = {}
        self._tickets = 0

    def receive(self, message: Any, _: ActorAddress) -> None:
        """Take the mail of supervisor and coordinators."""
        if isinstance(message, Ended):
            key = _key(message.request)
            _resolve(self._opened.pop(key, ()), message.request)
            _resolve(self._ended.pop(key, ()), message.request)
        elif isinstance(message, Opened):
            _resolve(self._opened.pop(_key(message.request), ()), message.request)
        elif isinstance(message, Described):
            _resolve([self._described.pop(message.ticket)], message.request)
        elif isinstance(message, Refused):
            waiting = self._opened.pop(message.key, []) + self._ended.pop(message.key, [])
            for future in waiting:
                if not future.done():
                    future.set_exception(message.error)

    def opened(self, key: RequestKey) -> asyncio.Future[model.Request]:
        """Return a future that ends when the request is durable."""
        return _wait_in(self._opened, key)

    def ended(self, key: RequestKey) -> asyncio.Future[model.Request]:
        """Return a future that ends when the request has ended."""
        return _wait_in(self._ended, key)

    def ticket(self) -> tuple[int, asyncio.Future[model.Request | None]]:
        """Return a number for a question and the future of its answer."""
        self._tickets += 1
        future: asyncio.Future[model.Request | None] = _future()
        self._described[self._tickets] = future
        return self._tickets, future


async def within(awaitable: Awaitable[T], timeout_s: float) -> T | None:
    """Return what is awaited, or None when it is not there in time."""
    try:
        return await asyncio.wait_for(awaitable, timeout_s)
    except TimeoutError:
        return None


def _future() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


def _wait_in(
    waiting: dict[RequestKey, list[asyncio.Future[model.Request]]], key: RequestKey
) -> asyncio.Future[model.Request]:
    future = _future()
    group = waiting.setdefault(key, [])
    group.append(future)
    future.add_done_callback(lambda done: _leave(waiting, key, done))
    return future


def _leave(
    waiting: dict[RequestKey, list[asyncio.Future[model.Request]]],
    key: RequestKey,
    future: asyncio.Future[model.Request],
) -> None:
    """Forget a future that nobody waits for any more."""
    group = waiting.get(key)
    if group is not None and future in group:
        group.remove(future)
        if not group:
            del waiting[key]


def _resolve(futures: Any, value: model.Request | None) -> None:
    for future in futures:
        if not future.done():
            future.set_result(value)


def _key(request: model.Request) -> RequestKey:
    return RequestKey(request.workflow_name, request.request_id)
