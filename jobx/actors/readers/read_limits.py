"""Questions that whole logs answer: few at once, the others wait, and too many are refused.

A log may have a million events, so such a read takes seconds. Quick reads never wait for them.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol

import msgspec

from jobx.actors.readers.folds import AT_ONCE
from jobx.errors import JobxError, Overloaded, Unavailable
from jobx.questions import GetSummary, Question
from jobx.views import View

#: Questions that are being answered, or wait for that.
MOST: Final = 32
#: When a refused caller should ask again.
AGAIN_S: Final = 1.0
#: How often it is tried to prepare an answer.
PREPARE_TRIES: Final = 20


class Reader(Protocol):
    """Answers questions, for one event loop."""

    async def ask(self, question: Question[Any]) -> View | msgspec.Raw:
        """Return the answer, as a view or packed; cancelling it cancels nothing of the work.

        Raises:
            Unavailable: It ended meanwhile; another one takes its place.
            JobxError: The question's own error.
        """

    async def close(self) -> None:
        """End it, and whatever waits for it."""


class Readers:
    """Has questions answered by a reader; for one event loop.

    Args:
        reader: What answers.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._open = 0
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._preparing: set[asyncio.Task[None]] = set()
        self._asked: set[asyncio.Task[View | msgspec.Raw]] = set()

    @property
    def waiting(self) -> int:
        """Questions that wait for their turn."""
        return self._open - len(self._asked)

    async def ask(self, question: Question[Any]) -> View | msgspec.Raw:
        """Return the answer to a question. One whose caller has left is not asked.

        Raises:
            Overloaded: Too many questions are open.
            Unavailable: The reader ended meanwhile.
            JobxError: The question's own error.
        """
        if self._open >= MOST:
            raise Overloaded(f"{MOST} questions about requests are being answered", AGAIN_S)
        self._open += 1
        try:
            await self._turns.acquire()
        except BaseException:
            self._open -= 1
            raise
        # The reader goes on with it when the caller leaves, so it keeps its turn.
        asked = asyncio.get_running_loop().create_task(self._ask(question))
        self._asked.add(asked)
        asked.add_done_callback(self._answered)
        return await asyncio.shield(asked)

    def prepare(self, workflow: str, request_id: str) -> None:
        """Have all of a log read that nobody waits for, so that later questions are quick."""
        question = GetSummary(workflow=workflow, request_id=request_id, is_whole=True)
        preparing = asyncio.get_running_loop().create_task(self._prepare(question))
        self._preparing.add(preparing)
        preparing.add_done_callback(self._preparing.discard)

    async def close(self) -> None:
        """End the reader."""
        for preparing in self._preparing:
            preparing.cancel()
        await self._reader.close()
        if self._asked:
            await asyncio.wait(self._asked)

    async def _prepare(self, question: Question[Any]) -> None:
        for _ in range(PREPARE_TRIES):
            try:
                await self.ask(question)
                return
            except Unavailable as error:
                await asyncio.sleep(max(error.retry_after_s, AGAIN_S))
            except JobxError:
                return  # whoever asks for it hears of it

    async def _ask(self, question: Question[Any]) -> View | msgspec.Raw:
        try:
            return await self._reader.ask(question)
        finally:
            self._open -= 1
            self._turns.release()

    def _answered(self, asked: asyncio.Task[View | msgspec.Raw]) -> None:
        self._asked.discard(asked)
        if not asked.cancelled():
            asked.exception()  # else it would be logged that nobody heard of it
