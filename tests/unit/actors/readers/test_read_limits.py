"""Reads of whole logs keep no other read waiting, and have a limit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from jobx.actors.readers.read_limits import AT_ONCE, MOST, Readers
from jobx.errors import Overloaded, Unavailable
from jobx.kv.memory import MemoryStore
from jobx.questions import GetSummary
from jobx.views import GraphView, View
from tests.support.thread_reader import ThreadReader

ASKED = GetSummary(workflow="w", request_id="r")
ANSWER = GraphView(dot="")


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(AT_ONCE) as threads:
        yield threads


def readers(threads: ThreadPoolExecutor, answer: Callable[[], Any]) -> Readers:
    """Return readers that answer the one question by a call."""

    def read(*_: object) -> View:
        answer()
        return ANSWER

    return Readers(ThreadReader(MemoryStore(), {GetSummary: read}, threads))


def test_more_than_may_wait_are_refused_until_there_is_room(threads: ThreadPoolExecutor) -> None:
    go = threading.Event()

    async def ask() -> None:
        asking = readers(threads, go.wait)
        asked = [asyncio.create_task(asking.ask(ASKED)) for _ in range(MOST)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await asking.ask(ASKED)
        go.set()
        assert await asyncio.gather(*asked) == [ANSWER] * MOST
        assert await asking.ask(ASKED) is ANSWER

    asyncio.run(ask())


def test_a_question_that_nobody_waits_for_any_more_is_not_asked(
    threads: ThreadPoolExecutor,
) -> None:
    go, begun = threading.Event(), []

    def answer() -> None:
        begun.append(1)
        go.wait()

    async def ask() -> None:
        asking = readers(threads, answer)
        first = [asyncio.create_task(asking.ask(ASKED)) for _ in range(AT_ONCE)]
        last = asyncio.create_task(asking.ask(ASKED))
        await asyncio.sleep(0)
        last.cancel()
        await asyncio.wait([last])
        go.set()
        await asyncio.gather(*first)

    asyncio.run(ask())
    assert len(begun) == AT_ONCE


def test_a_question_keeps_its_turn_when_its_caller_leaves(threads: ThreadPoolExecutor) -> None:
    go, begun = threading.Event(), []

    def answer() -> None:
        begun.append(1)
        go.wait()

    async def ask() -> None:
        asking = readers(threads, answer)
        first = [asyncio.create_task(asking.ask(ASKED)) for _ in range(AT_ONCE)]
        while len(begun) < AT_ONCE:
            await asyncio.sleep(0)
        for one in first:
            one.cancel()
        await asyncio.wait(first)
        last = asyncio.create_task(asking.ask(ASKED))
        await asyncio.sleep(0)
        assert not last.done()
        assert asking.waiting == 1
        go.set()
        assert await last is ANSWER

    asyncio.run(ask())


def test_an_error_is_that_of_the_read(threads: ThreadPoolExecutor) -> None:
    with pytest.raises(ZeroDivisionError):
        asyncio.run(readers(threads, lambda: 1 // 0).ask(ASKED))


def test_what_is_prepared_is_asked_until_it_is_answered(threads: ThreadPoolExecutor) -> None:
    asked: list[int] = []

    def answer() -> None:
        asked.append(1)
        if len(asked) == 1:
            raise Unavailable("more is to come", 0.0)

    async def prepare() -> None:
        asking = readers(threads, answer)
        asking.prepare("w", "r")
        while len(asked) < 2:
            await asyncio.sleep(0.01)
        await asking.close()

    asyncio.run(prepare())
