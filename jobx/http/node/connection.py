"""One connection of a web worker to its node: many calls at once, answers matched by number."""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar, cast

import msgspec

import jobx
from jobx import frames, questions
from jobx.errors import DeadlineExceeded, FrameError, JobxError, Overloaded
from jobx.frame_writer import FrameWriter
from jobx.questions import PROTOCOL, Hello, Question
from jobx.system.futures import fulfil
from jobx.views import View

A = TypeVar("A", bound=View)
#: Calls that may be open at once.
MAX_CALLS: Final = 10_000
#: Bytes that a node may leave unread before further calls are refused.
MAX_UNREAD_BYTES: Final = 64 << 20

_HELLO_S: Final = 5.0

#: What comes of a call: what the node answered, as msgpack, an error, or None when nothing will
#: come.
NodeAnswer: TypeAlias = msgspec.Raw | JobxError | None
Settle: TypeAlias = Callable[[NodeAnswer], None]


class _Open(NamedTuple):
    """A call that has no answer yet."""

    settle: Settle
    timer: asyncio.TimerHandle
    waits: bool


class NodeConnection(asyncio.Protocol):
    """One connection: sends calls, matches answers to them. Never used again once lost.

    Args:
        forget: Told when the connection is lost, and why, before its calls are settled.
    """

    def __init__(self, forget: Callable[[NodeConnection, str], None]) -> None:
        self.lost = asyncio.Event()
        self.pid = 0
        self.fault = "it closed the connection"
        self._forget = forget
        self._numbers = itertools.count()
        self._open: dict[int, _Open] = {}
        self._decoder = frames.FrameDecoder()
        self._loop = asyncio.get_running_loop()

    def send(
        self, question: Question[Any], timeout_s: float, settle: Settle, *, waits: bool = False
    ) -> None:
        """Send a call; ``settle`` is called once with what comes of it, and never from in here.

        Args:
            question: What is asked.
            timeout_s: How long the node may take.
            settle: Gets None when the connection is lost, or for one that ``waits`` when waits
                are cut.
            waits: It takes long because it was asked to wait.

        Raises:
            Overloaded: Too much is open or unread.
        """
        if len(self._open) >= MAX_CALLS:
            raise Overloaded(f"{MAX_CALLS} calls are waiting for the node")
        if self._frames.unread_bytes > MAX_UNREAD_BYTES:
            raise Overloaded("the node does not read fast enough")
        number = next(self._numbers)
        frame = questions.encode_call(number, question)
        self._frames.write(frame, is_alone=not self._open)
        timer = self._loop.call_later(timeout_s, self._expire, number, question, timeout_s)
        self._open[number] = _Open(settle, timer, waits)

    async def exchange(self, question: Question[A], timeout_s: float) -> A | None:
        """Send a call; return its answer, or None when the connection was lost.

        The call is on its way before anything is awaited, so a cancelled caller takes nothing
        back.
        """
        future: asyncio.Future[msgspec.Raw | None] = self._loop.create_future()
        self.send(question, timeout_s, functools.partial(fulfil, future))
        answer = await future
        return None if answer is None else questions.decode_answer(question, answer)

    async def greet(self) -> str:
        """Exchange hellos; return what is wrong, or nothing."""
        hello = Hello(protocol=PROTOCOL, role="http", version=jobx.__version__)
        try:
            answer = await self.exchange(hello, _HELLO_S)
        except JobxError as error:
            return str(error)
        if answer is None:
            return self.fault
        if answer.protocol != PROTOCOL:
            return f"it speaks protocol {answer.protocol}, not {PROTOCOL}"
        self.pid = answer.pid
        return ""

    def close(self) -> None:
        """Drop the connection."""
        self._transport.abort()

    def cut_waits(self) -> None:
        """Settle every call that waits with None."""
        for number in [number for number, call in self._open.items() if call.waits]:
            self._settle(number, None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take what asyncio connected."""
        # uvloop's transports have no base in common with asyncio's.
        self._transport = cast("asyncio.WriteTransport", transport)
        self._frames = FrameWriter(self._transport, self._loop)

    def data_received(self, chunk: bytes) -> None:
        """Settle the calls that a chunk holds answers to."""
        try:
            for body in self._decoder.bodies(chunk):
                self._take(body)
        except FrameError as error:
            self.fault = str(error)
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Settle every call with None."""
        self._forget(self, str(error) if error else self.fault)
        for number in list(self._open):
            self._settle(number, None)
        self.lost.set()

    def _take(self, body: bytes | bytearray) -> None:
        """Settle the call that a frame answers; one that cannot be read is its error alone.

        Raises:
            FrameError: It cannot be seen which call that is.
        """
        try:
            number, answer = questions.decode_reply(body)
        except FrameError as error:
            found = questions.number_of(body)
            if found is None:
                raise
            number, answer = found, error
        self._settle(number, answer)

    def _expire(self, number: int, question: Question[Any], timeout_s: float) -> None:
        self._settle(number, DeadlineExceeded(f"the node's answer to {question.verb}", timeout_s))

    def _settle(self, number: int, answer: NodeAnswer) -> None:
        call = self._open.pop(number, None)
        if call is not None:
            call.timer.cancel()
            call.settle(answer)
