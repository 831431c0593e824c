"""What answers take of their budget, and when they give it back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from falcon.asgi import Request, Response

from jobx.config_sections import HttpSettings
from jobx.errors import Overloaded
from jobx.http.byte_budget import ByteBudget
from jobx.http.door.door import Door
from jobx.http.writing import answer_memory

HOST = [(b"host", b"127.0.0.1")]


class Answering:
    """An application whose answers hold bytes; they are in flight until ``go`` is set."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.refused = 0
        self.go = asyncio.Event()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        try:
            answer_memory.hold(request, self.count)
        except Overloaded:
            self.refused += 1
            return
        await self.go.wait()


def scope() -> dict[str, Any]:
    """Return what a server says of a request."""
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "server": ("127.0.0.1", 80),
        "headers": HOST,
    }


async def nothing(*_: Any) -> None:
    """Take or give nothing."""


@pytest.mark.parametrize(("count", "refused"), [(400, 1), (1500, 2), (100, 0)])
def test_answers_in_flight_have_one_budget_until_they_are_sent(count: int, refused: int) -> None:
    async def come() -> None:
        inside = Answering(count)
        door = Door(inside, HttpSettings(answers_bytes=1000))
        visits = [asyncio.create_task(door(scope(), nothing, nothing)) for _ in range(3)]
        await asyncio.sleep(0)
        assert inside.refused == refused
        inside.go.set()
        await asyncio.gather(*visits)
        await door(scope(), nothing, nothing)
        assert inside.refused == refused

    asyncio.run(come())


def test_an_application_without_a_door_has_no_budget() -> None:
    answer_memory.hold(Request(scope(), nothing), 1 << 60)


LARGE = answer_memory.SMALL_BYTES + 1


@pytest.fixture
def budget() -> ByteBudget:
    """Return a budget that one more large answer just fits into."""
    budget = ByteBudget("answers", 3 * LARGE)
    budget.take(2 * LARGE)
    return budget


def settled(budget: ByteBudget, count: int, *, estimate: int = 0, is_change: bool = False) -> None:
    """Settle an answer of ``count`` bytes."""
    request = Request({**scope(), answer_memory.ANSWERS: budget}, nothing)
    response = Response()
    answer_memory.hold(request, estimate)
    response.data = bytes(count)
    answer_memory.settle(request, response, must_be_given=is_change)


@pytest.mark.parametrize(
    ("count", "estimate", "taken"),
    [
        (LARGE, 0, LARGE),
        (LARGE, LARGE - 1000, LARGE),
        (LARGE - 1, 0, 0),
        (LARGE - 1, LARGE, 0),
        (0, 0, 0),
    ],
)
def test_an_answer_holds_its_own_size_once_it_is_there(
    budget: ByteBudget, count: int, estimate: int, taken: int
) -> None:
    settled(budget, count, estimate=estimate)
    assert budget.taken_bytes == 2 * LARGE + taken


def test_an_answer_for_which_there_is_no_room_is_refused(budget: ByteBudget) -> None:
    with pytest.raises(Overloaded):
        settled(budget, LARGE + 1)


def test_an_answer_about_a_change_is_given_and_counted_all_the_same(budget: ByteBudget) -> None:
    settled(budget, 2 * LARGE, is_change=True)
    assert budget.taken_bytes == 4 * LARGE


@pytest.mark.parametrize("kind", ["stream", "sse"])
def test_a_stream_holds_what_it_took(budget: ByteBudget, kind: str) -> None:
    request = Request({**scope(), answer_memory.ANSWERS: budget}, nothing)
    response, stream = Response(), nothing()
    answer_memory.hold(request, LARGE)
    setattr(response, kind, stream)
    answer_memory.settle(request, response)
    stream.close()
    assert budget.taken_bytes == 3 * LARGE
