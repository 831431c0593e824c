from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from jobx.actors.cluster.watch import LeaseWatch
from jobx.errors import StoreUnavailable
from jobx.kv.leases import Held, Holders
from tests.support.waiting import eventually_soon


class Scripted:
    """Leases whose watch does what a script says, and then nothing."""

    def __init__(self, *script: Holders | Exception) -> None:
        self._script: Iterator[Any] = iter(script)

    def lease(self, *_: object, **__: object) -> Any: ...

    def watch(self, _: str) -> Scripted:
        return self

    def next(self, _: float) -> Holders | None:
        step = next(self._script, None)
        if isinstance(step, Exception):
            raise step
        found: Holders | None = step
        return found


ONE: Holders = {"nodes/a": Held("host")}


def test_all_holders_are_told_on_the_loop() -> None:
    async def test() -> None:
        seen: list[Holders] = []
        watch = LeaseWatch(Scripted(ONE, {}), "nodes/", seen.append)
        await eventually_soon(lambda: len(seen) == 2)
        watch.stop()
        assert seen == [ONE, {}]

    asyncio.run(test())


def test_a_store_that_does_not_answer_is_asked_again() -> None:
    async def test() -> None:
        seen: list[Holders] = []
        watch = LeaseWatch(Scripted(StoreUnavailable("down", 1.0), ONE), "nodes/", seen.append)
        await eventually_soon(lambda: seen == [ONE])
        watch.stop()

    asyncio.run(test())


def test_nothing_is_told_after_the_end() -> None:
    async def test() -> None:
        seen: list[Holders] = []
        watch = LeaseWatch(Scripted(ONE), "nodes/", seen.append)
        watch.stop()
        await asyncio.sleep(0.05)
        assert seen == []

    asyncio.run(test())
