"""A log writer over a store whose commits can be held up and go wrong."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from jobx.actors.log_writer import LogWriter
from jobx.actors.messages import RequestKey
from jobx.actors.runtime.address import Address
from jobx.errors import JobxError, StoreFull
from jobx.kv import keys
from jobx.kv.memory import MemoryStore
from jobx.kv.store import Chain, CommitOutcome, Create
from jobx.kv.write_batch import name_of

FULL = StoreFull("the store", "no space left")
A, B, C = (RequestKey("flow", name) for name in ("a", "b", "c"))


class ScriptedStore(MemoryStore):
    """A store whose commits can be held up and go wrong.

    Attributes:
        commits: The keys of all writes that were tried, by commit and chain.
        errors: What the next commits end with.
        gate: Commits wait while it is not set.
    """

    def __init__(self) -> None:
        super().__init__()
        self.commits: list[list[list[str]]] = []
        self.errors: list[Exception] = []
        self.gate = threading.Event()
        self.gate.set()

    def commit_many(self, chains: Sequence[Chain]) -> list[CommitOutcome]:
        self.commits.append(
            [[name_of(write) for unit in chain for write in unit] for chain in chains]
        )
        assert self.gate.wait(60)
        if self.errors:
            raise self.errors.pop(0)
        return super().commit_many(chains)


class Bench:
    """A log writer over a scripted store, and what coordinators hear from it."""

    def __init__(self, store: ScriptedStore, patience_s: float) -> None:
        self.store = store
        self.heard: list[tuple[RequestKey | None, object]] = []
        self.owners = {key: Address("n", 1, number) for number, key in enumerate((A, B, C))}
        loop = asyncio.get_running_loop()
        self.hurried = 0
        self.told: list[JobxError | None] = []
        self.writer = LogWriter(
            store, loop, self._deliver, self._hurry, self.told.append, patience_s=patience_s
        )

    def _hurry(self) -> None:
        self.hurried += 1

    def _deliver(self, owner: object, message: object) -> None:
        key = next((key for key, address in self.owners.items() if address == owner), None)
        self.heard.append((key, message))

    def append(self, key: RequestKey, number: int, *, urgent: bool = True) -> None:
        write = Create(f"{key.request_id}{number}", b"")
        self.writer.append(key, self.owners[key], number, [write], urgent)

    async def hears(self, count: int) -> list[tuple[RequestKey | None, object]]:
        await until(lambda: len(self.heard) >= count)
        return self.heard

    def stored(self) -> list[str]:
        return [entry.key for entry in self.store.range("") if entry.key != keys.PROBE]


async def until(predicate: Callable[[], Any], timeout_s: float = 60.0) -> None:
    """Wait, with the loop going on, until something is true."""
    deadline = time.monotonic() + timeout_s
    while not predicate():
        assert time.monotonic() < deadline, "it never became true"
        await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def bench(patience_s: float = 0.0) -> AsyncIterator[Bench]:
    opened = Bench(ScriptedStore(), patience_s)
    try:
        yield opened
    finally:
        opened.store.gate.set()
        opened.writer.close()


def in_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run a test on a loop of its own."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), 60))

    return run
