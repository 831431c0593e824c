"""The web worker's way to its node: one connection that is kept up, with back-off.

Two kinds of calls: ``call`` is sent once; ``attend`` is for verbs that may be repeated, and is sent
again over a new connection when the old one is lost.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeVar

import msgspec

from jobx import questions
from jobx.errors import (
    FrameError,
    JobxError,
    NodeLost,
    NodeUnreachable,
    StoreFull,
    StoreRefused,
    Unavailable,
)
from jobx.http.node.connection import NodeAnswer, NodeConnection
from jobx.questions import Attended, Question, SubmitJob
from jobx.system.futures import fulfil
from jobx.system.peers import check_node
from jobx.views import Outcome, View

A = TypeVar("A", bound=View)

#: How long a call that waits for nothing may take, connecting included.
CALL_S: Final = 30.0
#: How long a node may take to answer beyond the wait that it was asked for.
ANSWER_S: Final = 10.0
#: How long what waits for nothing outlasts a node that is away.
PATIENCE_S: Final = 30.0

_WENT_AWAY: Final = "the node went away before it answered"
#: A connection that is lost so soon after a call was sent may have been closed because of it.
BROKEN_S: Final = 1.0

_FIRST_PAUSE_S: Final = 0.05
_LAST_PAUSE_S: Final = 1.0

log = logging.getLogger(__name__)


class NodePort(Protocol):
    """What the web application needs of a node."""

    async def call(self, question: Question[A], timeout_s: float = CALL_S) -> A:
        """Return the node's answer to a question.

        Raises:
            NodeUnreachable: Nobody answers at the gateway; nothing was asked.
            NodeLost: The connection was lost before the answer came.
            DeadlineExceeded: The node took longer than ``timeout_s``.
            JobxError: The node's own error.
        """

    async def attend(self, question: Attended) -> Outcome:
        """Return the answer to a question that waits, and that may be repeated.

        The node gets it with what is left of ``wait_s``. Cancelling the caller does not cancel the
        call.

        Raises:
            NodeUnreachable: The node stayed away longer than the wait (30 s where it is 0);
                nothing was asked.
            NodeLost: It went away after it was asked, and did not come back or cannot say.
            DeadlineExceeded: The node is there and does not answer.
            JobxError: The node's own error.
        """


@dataclass(slots=True, eq=False)
class _Attended:
    """A call that is sent until it is answered, even when nobody waits for the answer any more.

    Attributes:
        question: What is asked; its ``wait_s`` counts from ``started`` on.
        started: On the monotonic clock.
        until: When it is given up if there is no node.
        answer: What the caller waits for. Cancelling it does not end the call.
        was_lost: It was asked over a connection that was lost before the answer came.
        sent: When it was sent last, and to which process.
        pid: See there.
        broke: The connection was lost within a second of that …
        breaks: … and how often the node was there all the same.
    """

    question: Attended
    started: float
    until: float
    answer: asyncio.Future[msgspec.Raw]
    was_lost: bool = False
    sent: float = 0.0
    pid: int = 0
    broke: bool = False
    breaks: int = 0

    def check_breaks(self, pid: int, now: float) -> None:
        """Take note that the call is sent to a node.

        Raises:
            FrameError: It broke two connections of the same node: it is not sent a third time.
        """
        if self.broke and pid and pid == self.pid:
            self.breaks += 1
        if self.breaks > 1:
            verb = self.question.verb
            raise FrameError(f"the node closed the connection each time {verb} was sent")
        self.sent, self.pid, self.broke = now, pid, False

    def fail(self, error: JobxError) -> None:
        """End with an error; what was asked before may have happened, whatever is said now."""
        if self.was_lost and isinstance(error, Unavailable | StoreFull | StoreRefused):
            reason = error.reason if isinstance(error, Unavailable) else str(error)
            error = NodeLost(f"{_WENT_AWAY}, and now: {reason}")
        fulfil(self.answer, error)


class NodeClient:
    """A connection to the gateway at ``path`` that is kept up; for one event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: NodeConnection | None = None
        self._up = asyncio.Event()
        self._fault = "not connected yet"
        self._cut = False
        self._sending: set[asyncio.Task[None]] = set()
        self._keeper: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop

    async def start(self) -> None:
        """Begin to connect; returns at once, whether a node is there or not."""
        self._loop = asyncio.get_running_loop()  # asking for it is a system call before Python 3.12
        self._keeper = self._loop.create_task(self._keep_connected())

    async def close(self) -> None:
        """Drop the connection and what waits on it."""
        self.cut_waits()
        connection, self._connection = self._connection, None  # so that its end is no loss
        if connection is not None:
            connection.close()
            await connection.lost.wait()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper, *self._sending])

    def cut_waits(self) -> None:
        """End every wait now: those who wait learn how their request stands, for good."""
        self._cut = True
        self._up.set()
        if self._connection is not None:
            self._connection.cut_waits()

    async def call(self, question: Question[A], timeout_s: float = CALL_S) -> A:
        """See ``NodePort.call``."""
        deadline = time.monotonic() + timeout_s
        connection = await self._connected(deadline)
        answer = await connection.exchange(question, deadline - time.monotonic())
        if answer is None:
            raise NodeLost(_WENT_AWAY)
        return answer

    async def attend(self, question: Attended) -> Outcome:
        """See ``NodePort.attend``."""
        now = time.monotonic()
        # Nothing is accepted before it is sent, so a node that is not there is told early.
        until = now + min(question.wait_s or PATIENCE_S, PATIENCE_S)
        answer: asyncio.Future[msgspec.Raw] = self._loop.create_future()
        call = _Attended(question, now, until, answer)
        if self._connection is not None:
            self._send(self._connection, call)
        else:
            self._send_when_connected(call)
        # No task runs for the call, and none is waited for: both cost turns of the loop.
        return questions.decode_answer(question, await answer)

    def _send(self, connection: NodeConnection, call: _Attended) -> None:
        now, wait_s = time.monotonic(), call.question.wait_s
        call.check_breaks(connection.pid, now)
        call.until = call.started + (wait_s or PATIENCE_S)
        rest_s = 0.0 if self._cut else max(0.0, call.started + wait_s - now)
        question = msgspec.structs.replace(call.question, wait_s=rest_s)
        if call.was_lost and isinstance(question, SubmitJob):
            question = msgspec.structs.replace(question, was_sent=True)
        settle = functools.partial(self._settle, call)
        connection.send(question, rest_s + ANSWER_S, settle, waits=rest_s > 0)

    def _settle(self, call: _Attended, answer: NodeAnswer) -> None:
        if answer is None:
            call.was_lost = True
            call.broke = time.monotonic() - call.sent < BROKEN_S
            self._send_when_connected(call)
        elif isinstance(answer, JobxError):
            call.fail(answer)
        else:
            fulfil(call.answer, answer)

    def _send_when_connected(self, call: _Attended) -> None:
        sending = self._loop.create_task(self._send_later(call))
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)

    async def _send_later(self, call: _Attended) -> None:
        try:
            self._send(await self._connected(call.until), call)
        except JobxError as error:
            call.fail(error)
        except BaseException:
            call.answer.cancel()  # whoever waits has no time limit of his own
            raise

    async def _connected(self, until: float) -> NodeConnection:
        if self._connection is None:
            try:
                async with asyncio.timeout(max(0.0, until - time.monotonic())):
                    await self._up.wait()
            except TimeoutError:
                pass
        if self._connection is None:
            raise NodeUnreachable(f"no node answers: {self._fault}")
        return self._connection

    async def _keep_connected(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            connection = await self._connect()
            if connection is not None:
                pause_s = _FIRST_PAUSE_S
                self._connection = connection
                self._up.set()
                await connection.lost.wait()
            # A spread, so that the web workers of one node do not come back in step.
            await asyncio.sleep(pause_s * random.uniform(0.75, 1.25))  # noqa: S311 - no secret
            pause_s = min(2 * pause_s, _LAST_PAUSE_S)

    async def _connect(self) -> NodeConnection | None:
        """Return a connection that was greeted, or None; ``_fault`` then says why."""
        try:
            transport, connection = await self._loop.create_unix_connection(
                lambda: NodeConnection(self._forget), str(self._path)
            )
        except OSError as error:
            self._fault = f"{self._path}: {error.strerror or error}"
            return None
        try:
            check_node(transport.get_extra_info("socket"), self._path)
        except NodeUnreachable as error:
            self._fault = error.reason
        else:
            self._fault = await connection.greet()
        if self._fault:
            connection.close()
            return None
        log.info("connected to the node at %s", self._path)
        return connection

    def _forget(self, connection: NodeConnection, reason: str) -> None:
        if connection is self._connection:
            self._connection = None
            self._fault = reason
            if not self._cut:
                self._up.clear()
            log.warning("lost the node at %s: %s", self._path, reason)
