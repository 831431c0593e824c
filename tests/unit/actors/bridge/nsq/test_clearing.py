from __future__ import annotations

import asyncio

from jobx.actors.bridge.nsq.clearing import Clearing
from jobx.actors.bridge.nsq.clients import Server
from jobx.actors.bridge.nsq.connection import Access

SERVER = Server("127.0.0.1", 1)


def test_a_queue_is_removed_after_its_time_and_not_after_that_of_an_earlier_end() -> None:
    async def test() -> None:
        clearing = Clearing(Access())
        clearing.add(SERVER, ["a#ephemeral", "b#ephemeral"])
        clearing.add(SERVER, ["a#ephemeral"])
        clearing._begin()  # as when the time of the first end is over
        assert list(clearing._due) == [(SERVER, "b#ephemeral"), (SERVER, "a#ephemeral")]
        assert clearing._connection is None
        clearing.close()

    asyncio.run(test())


def test_queues_that_earlier_versions_made_stay() -> None:
    async def test() -> None:
        clearing = Clearing(Access())
        clearing.add(SERVER, ["a"])
        assert not clearing._due
        clearing.close()

    asyncio.run(test())
