"""The log writer when the store does not take what it is given."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

from jobx.actors.log_writer import LogWriter
from jobx.actors.messages import CommitRefused, Committed, RequestKey
from jobx.actors.runtime.address import Address
from jobx.errors import StoreFull
from jobx.kv.memory import MemoryStore
from jobx.kv.store import Chain, CommitOutcome, Create, Write
from tests.support.waiting import after

KEY = RequestKey("w", "r")
OLD, NEW = Address("n", 1, 1), Address("n", 1, 2)


class FullStore(MemoryStore):
    """Has no room until it is told so; a commit waits for ``go``."""

    def __init__(self) -> None:
        super().__init__()
        self.is_full = True
        self.go = threading.Event()

    def commit_many(self, chains: Sequence[Chain]) -> list[CommitOutcome]:
        assert self.go.wait(60)
        if self.is_full:
            raise StoreFull("here", "no room")
        return super().commit_many(chains)


async def _settle(writer: LogWriter) -> None:
    assert await writer.drain(after(60.0))


def _write(number: int) -> list[Write]:
    return [Create(f"event/{number}", b"")]


def test_request_that_is_not_durable_is_refused_and_the_writer_tries_again() -> None:
    async def run() -> None:
        heard: list[tuple[Any, object]] = []
        store = FullStore()
        store.go.set()
        writer = LogWriter(store, asyncio.get_running_loop(), lambda *said: heard.append(said))
        writer.append(KEY, OLD, 0, _write(0), urgent=True)
        await _settle(writer)
        assert isinstance(writer.faults.stalled, StoreFull)
        store.is_full = False
        async with asyncio.timeout(60):
            while writer.faults.stalled is not None:
                await asyncio.sleep(0.01)
        assert [type(message) for _, message in heard] == [CommitRefused]
        writer.close()

    asyncio.run(run())


def test_request_that_is_forgotten_while_it_is_written_leaves_no_trace_of_its_old_owner() -> None:
    async def run() -> None:
        heard: list[tuple[Any, object]] = []
        store = FullStore()
        writer = LogWriter(store, asyncio.get_running_loop(), lambda *said: heard.append(said))
        writer.append(KEY, OLD, 5, _write(5), urgent=True)
        await asyncio.sleep(0)  # the commit is under way
        writer.forget(KEY)
        writer.append(KEY, NEW, 5, _write(5), urgent=True)
        store.go.set()
        async with asyncio.timeout(60):
            while writer.faults.stalled is None:
                await asyncio.sleep(0.01)
        store.is_full = False
        await _settle(writer)
        assert heard == [(NEW, Committed(5))]
        writer.close()

    asyncio.run(run())
