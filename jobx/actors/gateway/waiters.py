"""The callers that wait for requests: futures, resolved by messages of coordinators."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, TypeAlias, TypeVar

from thespian.actors import ActorAddress

from jobx import model
from jobx.actors.messages import (
    ChildTold,
    Described,
    Ended,
    Explained,
    Opened,
    Probed,
    Refused,
    RequestKey,
)

T = TypeVar("T")
#: A dict keeps the order, and lets each future leave at once, however many there are.
_Futures: TypeAlias = dict[asyncio.Future[Any], None]
_Waiting: TypeAlias = dict[RequestKey, _Futures]


class Waiters:
    """The mailbox of the gateway. Runs on the node's loop.

    Args:
        hurry: Called if callers wait only for the request that has just ended: then its answer
            goes before all else.
    """

    def __init__(self, hurry: Callable[[], object] = lambda: None) -> None:
        self._hurry = hurry
        self._opened: _Waiting = {}
        self._ended: _Waiting = {}
        self._asked: _Waiting = {}
        self._tickets: dict[int, asyncio.Future[Any]] = {}
        self._asked_count = 0
        self._probes: dict[int, asyncio.Future[bool]] = {}

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        """The loop, looked up once: the lookup is a system call before Python 3.12."""
        return asyncio.get_running_loop()

    def receive(self, message: Any, _: ActorAddress) -> None:
        """Take a message of the supervisor or a coordinator."""
        if isinstance(message, Ended):
            self.end(message.request)
        elif isinstance(message, Opened):
            _resolve(self._opened.pop(_key(message.request), ()), message.request)
        elif isinstance(message, Described):
            self._answered(message.ticket, message.request)
        elif isinstance(message, Explained):
            self._answered(message.ticket, message)
        elif isinstance(message, ChildTold):
            self._answered(message.ticket, message.says)
        elif isinstance(message, Refused):
            _resolve(self._asked.pop(message.key, ()), None)
            for waiting in (self._opened, self._ended):
                for refused in waiting.pop(message.key, {}):
                    if not refused.done():
                        refused.set_exception(message.error)

    def _answered(self, ticket: int, answer: object) -> None:
        future = self._tickets.get(ticket)
        _resolve([future] if future is not None else (), answer)

    def end(self, request: model.Request) -> None:
        """Answer all who wait for a request that has ended, here or on another node."""
        key = _key(request)
        if key in self._ended and len(self._ended) == 1:
            self._hurry()
        for waiting in (self._opened, self._ended, self._asked):
            if key in waiting:
                _resolve(waiting.pop(key), request)

    def probed(self, message: Probed, _: ActorAddress) -> None:
        """Take the answer to a Probe."""
        probe = self._probes.pop(message.ticket, None)
        if probe is not None and not probe.done():
            probe.set_result(True)

    def probe(self) -> tuple[int, asyncio.Future[bool]]:
        """Return a number for a Probe and the future of its answer."""
        self._asked_count += 1
        number = self._asked_count
        future: asyncio.Future[bool] = self._loop.create_future()
        self._probes[number] = future
        future.add_done_callback(lambda _: self._probes.pop(number, None))
        return number, future

    def opened(self, key: RequestKey) -> asyncio.Future[model.Request]:
        """Return a future that ends when the request is durable."""
        return self._wait_in(self._opened, key)

    def ended(self, key: RequestKey) -> asyncio.Future[model.Request]:
        """Return a future that ends when the request has ended."""
        return self._wait_in(self._ended, key)

    def ticket(self, key: RequestKey) -> tuple[int, asyncio.Future[Any]]:
        """Return a number for a question about a request and the future of its answer.

        The end of the request is an answer too: its coordinator leaves and reads no more messages.
        """
        future = self._wait_in(self._asked, key)
        return self._number(future), future

    def told(self) -> tuple[int, asyncio.Future[Any]]:
        """Return a number for what is told to an actor, and the future of its answer."""
        future: asyncio.Future[Any] = self._loop.create_future()
        return self._number(future), future

    def _number(self, future: asyncio.Future[Any]) -> int:
        self._asked_count += 1
        number = self._asked_count
        self._tickets[number] = future
        future.add_done_callback(lambda _: self._tickets.pop(number, None))
        return number

    def _wait_in(self, waiting: _Waiting, key: RequestKey) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._loop.create_future()
        waiting.setdefault(key, {})[future] = None
        future.add_done_callback(partial(_leave, waiting, key))
        return future


async def within(future: asyncio.Future[T], timeout_s: float) -> T | None:
    """Return the result of one of these futures; on a timeout, resolve it with None."""
    timer = future.get_loop().call_later(timeout_s, _resolve, (future,), None)
    try:
        return await future
    finally:
        timer.cancel()


def _leave(waiting: _Waiting, key: RequestKey, future: asyncio.Future[Any]) -> None:
    """Forget a future without a waiting caller, and its refusal."""
    if not future.cancelled():
        future.exception()  # else a refusal after its caller has left would be logged
    group = waiting.get(key)
    if group is not None and future in group:
        del group[future]
        if not group:
            del waiting[key]


def _resolve(futures: Any, value: object) -> None:
    for future in futures:
        if not future.done():
            future.set_result(value)


def _key(request: model.Request) -> RequestKey:
    return RequestKey(request.workflow_name, request.request_id)
