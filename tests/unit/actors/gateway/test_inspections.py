"""Reads of whole logs keep no other read waiting, and have a limit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from jobx.actors.gateway.inspections import MOST, Inspections
from jobx.errors import Overloaded


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as threads:
        yield threads


def test_more_than_may_wait_are_refused_until_there_is_room(threads: ThreadPoolExecutor) -> None:
    go = threading.Event()

    async def ask() -> None:
        inspections = Inspections(threads)
        asked = [asyncio.create_task(inspections.run(go.wait)) for _ in range(MOST)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await inspections.run(go.wait)
        go.set()
        assert all(await asyncio.gather(*asked))
        assert await inspections.run(lambda: 7) == 7

    asyncio.run(ask())


def test_a_read_that_nobody_waits_for_any_more_is_not_begun(threads: ThreadPoolExecutor) -> None:
    go, begun = threading.Event(), []

    async def ask() -> None:
        inspections = Inspections(threads)
        first = asyncio.create_task(inspections.run(go.wait))
        second = asyncio.create_task(inspections.run(lambda: begun.append(2)))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.sleep(0)
        go.set()
        await first
        await inspections.run(lambda: begun.append(3))

    asyncio.run(ask())
    assert begun == [3]


def test_an_error_is_that_of_the_read(threads: ThreadPoolExecutor) -> None:
    with pytest.raises(ZeroDivisionError):
        asyncio.run(Inspections(threads).run(lambda: 1 // 0))
