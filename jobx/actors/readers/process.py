"""The reader as a process: started for the first question, replaced when it dies or hangs."""

from __future__ import annotations

import asyncio
import itertools
import logging
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from jobx import frames, questions
from jobx.actors.readers.main import ReaderConfig, why_ended
from jobx.actors.threads import in_daemon
from jobx.config import Settings
from jobx.errors import FrameError, JobxError, Unavailable
from jobx.handlers import launch
from jobx.questions import Question
from jobx.system.futures import fulfil
from jobx.system.processes import how_ended, is_stopped

#: What runs as the process.
MODULE: Final = "jobx.actors.readers.main"
#: Looks in a row that find a reader stopped before it is replaced.
STOPPED_LOOKS: Final = 2

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a reader may take.

    Attributes:
        memory_bytes: Of address space.
        question_s: How long it may be at one question.
        idle_s: How long it is kept without one.
        look_s: How often it is looked at.
    """

    memory_bytes: int = 2 << 30
    question_s: float = 25.0
    idle_s: float = 60.0
    look_s: float = 1.0


class ProcessReader:
    """Answers in a process of its own, which lives as long as it is of use; for one event loop.

    Args:
        settings: All settings.
        environ: The environment of the node.
        bounds: What it may take.
        module: What runs as the process.
    """

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        bounds: Bounds = Bounds(),
        module: str = MODULE,
    ) -> None:
        config = ReaderConfig(msgspec.to_builtins(settings), bounds.memory_bytes)
        self._first = frames.encode(config)
        self._environ = environ
        self._module = module
        self._bounds = bounds
        self._life: ReaderProcess | None = None
        self._starting = asyncio.Lock()
        self._is_closing = False

    @property
    def pid(self) -> int | None:
        """The process, if there is one."""
        return self._life.pid if self._life is not None and self._life.is_up else None

    async def ask(self, question: Question[Any]) -> msgspec.Raw:
        """See ``Reader.ask``."""
        async with self._starting:
            if self._is_closing:
                raise Unavailable("the node is stopping")
            if self._life is None or not self._life.is_up:
                self._life = await self._start()
        return await self._life.ask(question)

    async def close(self) -> None:
        """See ``Reader.close``."""
        self._is_closing = True
        async with self._starting:  # one that is being started is ended, too
            life = self._life
        if life is not None:
            life.kill()
            await life.ended.wait()

    async def _start(self) -> ReaderProcess:
        loop = asyncio.get_running_loop()
        try:
            ours, process = launch.process(
                *(self._module, self._environ, self._first),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise Unavailable(f"a reader of requests does not start: {error}") from error
        life = ReaderProcess(process, self._bounds, loop)
        ours.setblocking(False)
        await loop.create_connection(lambda: life, sock=ours)
        return life


class ReaderProcess(asyncio.Protocol):
    """One process, from its start to its end.

    Attributes:
        pid: Its id.
        is_up: It takes questions.
        ended: Set when it is gone.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        bounds: Bounds,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.pid = process.pid
        self.is_up = True
        self.ended = asyncio.Event()
        self._is_killed = False
        self._process = process
        self._bounds = bounds
        self._loop = loop
        self._numbers = itertools.count(1)
        #: Answers that are waited for, each with the time when its question was sent.
        self._asked: dict[int, tuple[asyncio.Future[msgspec.Raw], float]] = {}
        self._decoder = frames.FrameDecoder()
        self._stopped_looks = 0
        self._idle_since = loop.time()
        self._looking = loop.call_later(bounds.look_s, self._look)
        self._burying: asyncio.Task[None] | None = None
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment]  # a stream socket's can write

    async def ask(self, question: Question[Any]) -> msgspec.Raw:
        """Return the packed answer; see ``Reader.ask``."""
        number = next(self._numbers)
        future: asyncio.Future[msgspec.Raw] = self._loop.create_future()
        frame = questions.encode_call(number, question)
        if self._transport is not None:
            self._transport.write(frame)
        self._asked[number] = future, self._loop.time()
        return await future

    def data_received(self, chunk: bytes) -> None:
        """Settle the questions that a chunk has answers to."""
        try:
            for body in self._decoder.bodies(chunk):
                self._settle(*questions.decode_reply(body))
        except FrameError as error:
            _log.error("a reader of requests sent what is no answer: %s", error)
            self.kill()

    def connection_lost(self, _: Exception | None) -> None:
        """Bury the process; its questions fail."""
        self.is_up = False
        self._looking.cancel()
        self._burying = self._loop.create_task(self._bury())

    def kill(self) -> None:
        """Kill the process; ``ended`` follows."""
        self.is_up, self._is_killed = False, True
        self._process.kill()

    def _settle(self, number: int, answer: msgspec.Raw | JobxError) -> None:
        future, _ = self._asked.pop(number)
        self._idle_since = self._loop.time()
        fulfil(future, answer)

    def _look(self) -> None:
        """End a process that hangs, or that nobody needs any more."""
        self._looking = self._loop.call_later(self._bounds.look_s, self._look)
        now = self._loop.time()
        if not self._asked:
            if now - self._idle_since > self._bounds.idle_s:
                self.kill()
            return
        self._stopped_looks = self._stopped_looks + 1 if is_stopped(self.pid) else 0
        since = min(asked_at for _, asked_at in self._asked.values())
        if self._stopped_looks >= STOPPED_LOOKS:
            self._replace("it was stopped")
        elif now - since > self._bounds.question_s:
            self._replace(f"a question took longer than {self._bounds.question_s:g} s")

    def _replace(self, reason: str) -> None:
        _log.warning("killing the reader of requests, process %d: %s", self.pid, reason)
        self.kill()

    async def _bury(self) -> None:
        self._process.kill()
        code = await in_daemon("reader", self._process.wait)
        if self._asked and not self._is_killed:  # else it has been said why, or the node stops
            _log.warning("the reader of requests, process %d, %s", self.pid, how_ended(code))
        for future, _ in self._asked.values():
            if not future.done():
                future.set_exception(why_ended(code, how_ended(code)))
        self._asked.clear()
        self.ended.set()
