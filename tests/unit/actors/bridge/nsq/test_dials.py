from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from jobx.actors.bridge.nsq import dials as module
from jobx.actors.bridge.nsq.clients import Server
from jobx.actors.bridge.nsq.connection import Access, Connection
from jobx.actors.bridge.nsq.dials import MOST, Dials
from jobx.actors.bridge.nsq.transport import NsqTransport
from tests.support.ports import free_port
from tests.support.waiting import eventually_soon

MANY = 4 * MOST


class Asked:
    """Clients that have asked for their connections, and those whose turn it is."""

    def __init__(self) -> None:
        self.dials = Dials()
        self.turns: list[int] = []
        for number in range(MANY):
            self.ask(number)

    def ask(self, number: int) -> None:
        self.dials.ask(number, lambda: self.turns.append(number))


def run(test: Callable[[Asked], Coroutine[Any, Any, None]]) -> None:
    async def begin() -> None:
        asked = Asked()
        await test(asked)
        asked.dials.close()

    asyncio.run(begin())


def test_connections_are_opened_in_order_more_and_more_at_a_time() -> None:
    async def test(asked: Asked) -> None:
        counts = []
        for number in range(MANY):
            counts.append(len(asked.turns) - number)
            asked.dials.opened(number)
        assert asked.turns == [*range(MANY)]
        assert (counts[:6], max(counts)) == ([1, 2, 4, 8, 16, MOST], MOST)

    run(test)


def test_one_tries_while_the_server_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_S", 0.0)

    async def test(asked: Asked) -> None:
        for number in range(3):
            await eventually_soon(lambda: len(asked.turns) == number + 1)  # noqa: B023 - at once
            asked.dials.failed(number)
            asked.ask(number)
        await eventually_soon(lambda: len(asked.turns) == 4)
        asked.dials.opened(3)
        assert asked.turns == [0, 1, 2, 3, 4, 5]

    run(test)


def test_nobody_tries_for_a_while_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_S", 1e6)
    monkeypatch.setattr(module, "MOST_S", 1e6)

    async def test(asked: Asked) -> None:
        asked.dials.failed(0)
        asked.ask(0)
        asked.dials.leave(1)
        assert asked.turns == [0]

    run(test)


def test_a_client_that_leaves_makes_room_for_the_next_one() -> None:
    async def test(asked: Asked) -> None:
        asked.dials.leave(0)
        asked.dials.leave(2)
        asked.dials.leave(1)
        assert asked.turns == [0, 1, 3]

    run(test)


def test_what_a_client_says_out_of_its_turn_changes_nothing() -> None:
    async def test(asked: Asked) -> None:
        for tell in (asked.dials.opened, asked.dials.failed):
            tell(5)
        assert asked.turns == [0]

    run(test)


def test_nothing_is_opened_once_it_is_closed() -> None:
    async def test(asked: Asked) -> None:
        asked.dials.close()
        asked.dials.leave(0)
        asked.ask(0)
        assert asked.turns == [0]

    run(test)


def test_a_node_that_starts_opens_few_of_many_queues_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connecting: list[Connection] = []
    monkeypatch.setattr(Connection, "connect", lambda me: connecting.append(me))

    async def test() -> None:
        transport = NsqTransport("a", "p", Server("127.0.0.1", free_port()), Access())
        for number in range(MANY):
            transport.listen(f"w{number}", lambda *_: None)
        assert len(connecting) == 1
        for number in range(MOST):
            connecting[number]._on_ready(connecting[number])
        assert len(connecting) == 2 * MOST
        transport.close()

    monkeypatch.setattr(Connection, "send", lambda *_: None)
    asyncio.run(test())
