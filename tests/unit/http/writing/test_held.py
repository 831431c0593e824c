"""What answers take of their budget, and when they give it back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from falcon.asgi import Request

from jobx.config import HttpSettings
from jobx.errors import Overloaded
from jobx.http.door.door import Door
from jobx.http.writing import held

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
            held.hold(request, self.count)
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
    held.hold(Request(scope(), nothing), 1 << 60)
