from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

from jobx.config_sections import HttpSettings
from jobx.errors import JobxError, Overloaded
from jobx.http.byte_budget import ByteBudget
from jobx.http.door.door import Door
from jobx.http.reading.intake import INTAKE, Intake

HOST = (b"host", b"localhost")
SETTINGS = HttpSettings(max_body_bytes=1000, bodies_bytes=1500)


class Visitor:
    """One request: what came of it, and whether its body was asked for."""

    def __init__(self, door: Door, *headers: tuple[bytes, bytes], **scope: Any) -> None:
        self._door = door
        self._scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "server": ("127.0.0.1", 1),
            "headers": list(headers),
            **scope,
        }
        self.asked = 0
        self.sent: list[dict[str, Any]] = []
        self.body: asyncio.Queue[bytes] = asyncio.Queue()

    async def come(self) -> int:
        """Go through the door; return the status."""
        await self._door(self._scope, self._receive, self._send)
        return int(self.sent[0]["status"])

    @property
    def code(self) -> str:
        """The code of the problem that was answered."""
        return str(json.loads(self.sent[1]["body"])["code"])

    async def _receive(self) -> dict[str, Any]:
        self.asked += 1
        return {"type": "http.request", "body": await self.body.get(), "more_body": True}

    async def _send(self, event: dict[str, Any]) -> None:
        self.sent.append(event)


class Inside:
    """An application that reads until it has ``wanted`` bytes, then waits to be let go."""

    def __init__(self, wanted: int = 0) -> None:
        self.wanted = wanted
        self.scopes: list[dict[str, Any]] = []
        self.faults: list[str] = []
        self.go = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        size = 0
        try:
            while size < self.wanted:
                size += len((await receive())["body"])
            await self.go.wait()
        except JobxError as error:
            self.faults.append(type(error).__name__)
        await send({"type": "http.response.start", "status": 200})


def run(come: Any) -> Any:
    return asyncio.run(asyncio.wait_for(come, 60))


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ([], 400, "invalid-input"),
        ([HOST, HOST], 400, "invalid-input"),
        ([(b"host", b"evil.example")], 421, "wrong-host"),
        ([HOST, (b"origin", b"http://evil.example")], 403, "foreign-origin"),
        ([HOST, (b"sec-fetch-site", b"cross-site")], 403, "foreign-origin"),
        ([HOST, (b"content-length", b"1001")], 413, "too-large"),
        ([HOST, (b"content-length", b"9" * 30)], 413, "too-large"),
    ],
)
def test_what_may_not_come_in_is_refused_by_its_head(
    headers: list[tuple[bytes, bytes]], status: int, code: str
) -> None:
    inside = Inside()
    visitor = Visitor(Door(inside, SETTINGS), *headers)
    assert (run(visitor.come()), visitor.code) == (status, code)
    assert (inside.scopes, visitor.asked) == ([], 0)


def test_old_client_needs_no_host() -> None:
    inside = Inside()
    inside.go.set()
    assert run(Visitor(Door(inside, SETTINGS), http_version="1.0").come()) == 200


def test_request_is_passed_on_before_its_body_is_asked_for() -> None:
    inside = Inside(wanted=0)
    inside.go.set()
    visitor = Visitor(Door(inside, SETTINGS), HOST, (b"content-length", b"10"))
    assert (run(visitor.come()), visitor.asked) == (200, 0)


def test_websocket_is_closed() -> None:
    inside = Inside()
    visitor = Visitor(Door(inside, SETTINGS), type="websocket")
    visitor.body.put_nowait(b"")
    with pytest.raises(KeyError):
        run(visitor.come())
    assert (visitor.sent, inside.scopes) == ([{"type": "websocket.close"}], [])


def test_body_that_does_not_come_is_given_up() -> None:
    inside = Inside(wanted=10)
    door = Door(inside, msgspec.structs.replace(SETTINGS, body_s=0.05))
    run(Visitor(door, HOST, (b"content-length", b"10")).come())
    assert inside.faults == ["BodyTooSlow"]


def test_bodies_of_all_have_one_budget_until_they_are_answered() -> None:
    async def come() -> None:
        inside = Inside(wanted=800)
        door = Door(inside, SETTINGS)

        def visitor() -> Visitor:
            one = Visitor(door, HOST, (b"transfer-encoding", b"chunked"))
            one.body.put_nowait(b"x" * 800)
            return one

        first = asyncio.ensure_future(visitor().come())
        while not inside.scopes or not inside.scopes[0][INTAKE]._taken_bytes:
            await asyncio.sleep(0)
        second = asyncio.ensure_future(visitor().come())
        await second
        assert inside.faults == ["Overloaded"]
        inside.go.set()
        await first
        await visitor().come()
        assert inside.faults == ["Overloaded"]

    run(come())


def test_body_that_is_alone_may_be_larger_than_the_budget() -> None:
    inside = Inside(wanted=5000)
    inside.go.set()
    visitor = Visitor(Door(inside, SETTINGS), HOST, (b"transfer-encoding", b"chunked"))
    for _ in range(5):
        visitor.body.put_nowait(b"x" * 1000)
    run(visitor.come())
    assert inside.faults == []


def test_budget_of_what_is_held_no_more_is_for_others() -> None:
    budget = ByteBudget("bodies", 1000)
    first, second = (Intake(asyncio.Queue[Any]().get, budget, 1.0) for _ in range(2))
    first.take(900)
    first.let_go(100)
    second.take(800)
    with pytest.raises(Overloaded):
        second.take(200)
    first.close()
    second.take(200)
    second.close()
    assert budget.taken_bytes == 0


@pytest.mark.parametrize("name", [b"origin", b"sec-fetch-site"])
def test_what_tells_pages_apart_stands_once(name: bytes) -> None:
    inside = Inside()
    first, second = (name, b"http://evil.example"), (name, b"none")
    visitor = Visitor(Door(inside, SETTINGS), HOST, first, second)
    assert (run(visitor.come()), inside.scopes) == (400, [])
