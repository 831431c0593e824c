"""The web worker's connection to its node: many calls at once on one Unix socket.

A client keeps one connection, makes it again with back-off when it is lost, and matches answers
to calls by number. Two kinds of calls: ``call`` is sent once; ``attend`` is for verbs that may be
repeated, and is sent again over a new connection when the old one is lost.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol, cast

import jobx
from jobx import frames
from jobx.errors import (
    DeadlineExceeded,
    FrameError,
    JobxError,
    NodeUnreachable,
    Overloaded,
    from_wire,
)
from jobx.frames import Frame

PROTOCOL: Final = 1
#: How long a call that waits for nothing may take, connecting included.
CALL_S: Final = 30.0
#: How long a node may take to answer beyond the wait that it was asked for.
ANSWER_S: Final = 10.0
#: How long what waits for nothing outlasts a node that is away.
PATIENCE_S: Final = 30.0
#: Calls that may be open at once.
MAX_CALLS: Final = 10_000
#: Bytes that a node may leave unread before further calls are refused.
MAX_UNREAD_BYTES: Final = 64 << 20

_HELLO_S: Final = 5.0
_FIRST_PAUSE_S: Final = 0.05
_LAST_PAUSE_S: Final = 1.0

log = logging.getLogger(__name__)


class Node(Protocol):
    """What the web application needs of a node."""

    async def call(self, verb: str, body: Frame, timeout_s: float = CALL_S) -> Frame:
        """Return the node's answer to a verb.

        Raises:
            NodeUnreachable: Nobody answers at the gateway, or the connection was lost.
            DeadlineExceeded: The node took longer than ``timeout_s``.
            JobxError: The node's own error.
        """

    async def attend(self, verb: str, body: Frame, wait_s: float) -> Frame:
        """Return the answer to a verb that waits, and that may be repeated.

        The node gets ``body`` with ``wait_s``: what is left of the wait. Cancelling the caller
        does not cancel the call.

        Raises:
            NodeUnreachable: The node stayed away longer than the wait (30 s where it is 0).
            DeadlineExceeded: The node is there and does not answer.
            JobxError: The node's own error.
        """


class NodeClient:
    """A connection to the gateway at ``path`` that is kept up; for one event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._link: _Link | None = None
        self._up = asyncio.Event()
        self._fault = "not connected yet"
        self._cut = False
        self._attending: set[asyncio.Task[Frame]] = set()
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to connect; returns at once, whether a node is there or not."""
        self._keeper = asyncio.create_task(self._keep_connected())

    async def close(self) -> None:
        """Drop the connection and what waits on it."""
        self.cut_waits()
        tasks = [*self._attending, *([self._keeper] if self._keeper else [])]
        for task in tasks:
            task.cancel()
        link, self._link = self._link, None  # so that its end is no loss
        if link is not None:
            link.close()
        await asyncio.gather(*tasks, return_exceptions=True)

    def cut_waits(self) -> None:
        """End every wait now: those who wait learn how their request stands, for good."""
        self._cut = True
        self._up.set()
        if self._link is not None:
            self._link.cut_waits()

    async def call(self, verb: str, body: Frame, timeout_s: float = CALL_S) -> Frame:
        """See ``Node.call``."""
        deadline = time.monotonic() + timeout_s
        link = await self._linked(deadline)
        answer = await link.exchange(verb, body, deadline - time.monotonic())
        if answer is None:
            raise NodeUnreachable("the node went away before it answered")
        return answer

    async def attend(self, verb: str, body: Frame, wait_s: float) -> Frame:
        """See ``Node.attend``."""
        attending = asyncio.create_task(self._attend(verb, body, wait_s))
        self._attending.add(attending)
        attending.add_done_callback(self._attending.discard)
        return await asyncio.shield(attending)

    async def _attend(self, verb: str, body: Frame, wait_s: float) -> Frame:
        started = time.monotonic()
        patience_s = wait_s or PATIENCE_S
        # Nothing is accepted before it is sent, so a node that is not there is told early.
        until = started + min(patience_s, PATIENCE_S)
        while True:
            link = await self._linked(until)
            until = started + patience_s
            rest_s = 0.0 if self._cut else max(0.0, started + wait_s - time.monotonic())
            frame = {**body, "wait_s": rest_s}
            answer = await link.exchange(verb, frame, rest_s + ANSWER_S, waits=rest_s > 0)
            if answer is not None:
                return answer

    async def _linked(self, until: float) -> _Link:
        if self._link is None:
            try:
                async with asyncio.timeout(max(0.0, until - time.monotonic())):
                    await self._up.wait()
            except TimeoutError:
                pass
        if self._link is None:
            raise NodeUnreachable(f"no node answers: {self._fault}")
        return self._link

    async def _keep_connected(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            link = await self._connect()
            if link is not None:
                pause_s = _FIRST_PAUSE_S
                self._link = link
                self._up.set()
                await link.lost.wait()
            # A spread, so that the web workers of one node do not come back in step.
            await asyncio.sleep(pause_s * random.uniform(0.75, 1.25))  # noqa: S311 - no secret
            pause_s = min(2 * pause_s, _LAST_PAUSE_S)

    async def _connect(self) -> _Link | None:
        """Return a connection that was greeted, or None; ``_fault`` then says why."""
        loop = asyncio.get_running_loop()
        try:
            _, link = await loop.create_unix_connection(
                lambda: _Link(self._forget), str(self._path)
            )
        except OSError as error:
            self._fault = f"{self._path}: {error.strerror or error}"
            return None
        self._fault = await _greet(link)
        if self._fault:
            link.close()
            return None
        log.info("connected to the node at %s", self._path)
        return link

    def _forget(self, link: _Link, reason: str) -> None:
        if link is self._link:
            self._link = None
            self._fault = reason
            if not self._cut:
                self._up.clear()
            log.warning("lost the node at %s: %s", self._path, reason)


async def _greet(link: _Link) -> str:
    """Exchange hellos; return what is wrong, or nothing."""
    hello = {"protocol": PROTOCOL, "role": "http", "version": jobx.__version__}
    try:
        answer = await link.exchange("hello", hello, _HELLO_S)
    except JobxError as error:
        return str(error)
    if answer is None:
        return link.fault
    if answer.get("protocol") != PROTOCOL:
        return f"it speaks protocol {answer.get('protocol')!r}, not {PROTOCOL}"
    return ""


class _Link(asyncio.Protocol):
    """One connection: sends calls, matches answers to them. Never used again once lost."""

    def __init__(self, forget: Callable[[_Link, str], None]) -> None:
        self.lost = asyncio.Event()
        self._forget = forget
        self._numbers = itertools.count()
        self._answers: dict[int, asyncio.Future[Frame | None]] = {}
        self._waits: set[int] = set()
        self._decoder = frames.FrameDecoder()
        self.fault = "it closed the connection"

    async def exchange(
        self, verb: str, body: Frame, timeout_s: float, *, waits: bool = False
    ) -> Frame | None:
        """Send a call; return its answer, or None when the connection or the wait was cut.

        The call is on its way before anything is awaited, so a cancelled caller takes nothing
        back.
        """
        number = next(self._numbers)
        self._send({"id": number, "verb": verb, "body": body})
        loop = asyncio.get_running_loop()
        future = self._answers[number] = loop.create_future()
        if waits:
            self._waits.add(number)
        timer = loop.call_later(timeout_s, _expire, future, verb, timeout_s)
        try:
            answer = await future
        finally:
            timer.cancel()
            del self._answers[number]
            self._waits.discard(number)
        return None if answer is None else _opened(answer)

    def close(self) -> None:
        self._transport.abort()

    def cut_waits(self) -> None:
        for number in self._waits:
            _settle(self._answers[number], None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have no base in common with asyncio's.
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, chunk: bytes) -> None:
        try:
            for frame in self._decoder.feed(chunk):
                future = self._answers.get(frame.get("id", -1))
                if future is not None:
                    _settle(future, frame)
        except FrameError as error:
            self.fault = str(error)
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._forget(self, str(error) if error else self.fault)
        for future in self._answers.values():
            _settle(future, None)
        self.lost.set()

    def _send(self, frame: Frame) -> None:
        if len(self._answers) >= MAX_CALLS:
            raise Overloaded(f"{MAX_CALLS} calls are waiting for the node")
        if self._transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
            raise Overloaded("the node does not read fast enough")
        self._transport.write(frames.encode(frame))


def _settle(future: asyncio.Future[Frame | None], frame: Frame | None) -> None:
    if not future.done():
        future.set_result(frame)


def _expire(future: asyncio.Future[Frame | None], verb: str, timeout_s: float) -> None:
    if not future.done():
        future.set_exception(DeadlineExceeded(f"the node's answer to {verb}", timeout_s))


def _opened(frame: Frame) -> Frame:
    """Return what an answer holds, or raise the error in it."""
    if "ok" in frame:
        answer: Frame = frame["ok"]
        return answer
    raise from_wire(frame.get("error") or {})
