from __future__ import annotations

import asyncio

import pytest

from jobx.actors.bridge.nsq import clearing as module
from jobx.actors.bridge.nsq.clearing import Clearing
from jobx.actors.bridge.nsq.clients import Server
from jobx.actors.bridge.nsq.connection import Access
from tests.support.ports import free_port
from tests.support.waiting import eventually_soon

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


def test_queues_are_left_to_an_nsqd_that_was_asked_in_vain_too_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "CLEAR_S", 0.0)
    monkeypatch.setattr(module, "TRIES", 3)

    async def test() -> None:
        clearing = Clearing(Access())
        clearing.add(Server("127.0.0.1", free_port()), ["a#ephemeral", "b#ephemeral"])
        failures: set[int] = set()

        def is_over() -> bool:
            failures.update(clearing._failures.values())
            return not (clearing._due or clearing._connection)

        await eventually_soon(is_over)
        assert failures <= {1, 2}
        assert not (clearing._failures or clearing._timer)

    asyncio.run(test())


def test_queues_that_are_added_again_are_asked_for_as_often_as_new_ones() -> None:
    async def test() -> None:
        clearing = Clearing(Access())
        clearing._failures[SERVER] = module.TRIES - 1
        clearing.add(SERVER, ["a#ephemeral"])
        assert not clearing._failures
        clearing.close()

    asyncio.run(test())


def test_who_adds_nothing_lets_a_server_be_given_up_in_time() -> None:
    async def test() -> None:
        clearing = Clearing(Access())
        clearing._failures[SERVER] = 7
        clearing.add(SERVER, ["of an earlier version"])
        assert clearing._failures == {SERVER: 7}

    asyncio.run(test())


def test_what_is_closed_while_it_asks_asks_no_more() -> None:
    async def test() -> None:
        clearing = Clearing(Access())
        clearing.add(SERVER, ["a#ephemeral"])
        clearing._due = dict.fromkeys(clearing._due, 0.0)
        clearing._begin()
        clearing.close()
        assert not (clearing._due or clearing._connection or clearing._failures)

    asyncio.run(test())
