"""What every operation does, whatever it answers with."""

from __future__ import annotations

from typing import Any

import pytest
from falcon.testing import TestClient

from jobx.config_sections import HttpSettings
from jobx.http.app import create_app
from jobx.http.byte_budget import ByteBudget
from jobx.http.writing import answer_memory
from tests.support.fake_node import FakeNode

SOURCE = "def handler(arguments):\n    yield Return()\n" + "# x\n" * answer_memory.SMALL_BYTES
HANDLER = {
    "handler_name": "large",
    "description": "",
    "handler_type": "mapper",
    "source_code": SOURCE,
}
PLACE = "/workflow/notes/handler/large"


@pytest.fixture
def budget() -> ByteBudget:
    return ByteBudget("answers", 10)


@pytest.fixture
def client(node: FakeNode, settings: HttpSettings, budget: ByteBudget) -> TestClient:
    """Return a client of an application that has a budget."""
    app: Any = create_app(node, settings)

    async def budgeted(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope[answer_memory.ANSWERS] = budget
        await app(scope, receive, send)

    client = TestClient(budgeted)
    client.simulate_put("/workflow/notes", json={"description": ""})
    return client


@pytest.fixture
def full(client: TestClient, budget: ByteBudget) -> TestClient:
    """Return a client whose server has no room for another large answer."""
    assert client.simulate_put(PLACE, json=HANDLER).status_code == 200
    budget.take(20, budget.taken_bytes)
    return client


def test_a_large_answer_is_counted(client: TestClient, budget: ByteBudget) -> None:
    client.simulate_put(PLACE, json=HANDLER)
    assert budget.taken_bytes > len(SOURCE)


def test_a_large_answer_that_finds_no_room_is_refused_for_now(full: TestClient) -> None:
    answer = full.simulate_get(PLACE)
    assert (answer.status_code, answer.json["code"]) == (503, "overloaded")
    assert int(answer.headers["Retry-After"]) > 0


def test_a_small_answer_needs_no_room(full: TestClient) -> None:
    assert full.simulate_get("/health/live").status_code == 200


def test_what_changed_something_is_answered_without_room(full: TestClient) -> None:
    answer = full.simulate_put(PLACE, json=HANDLER)
    assert (answer.status_code, answer.json["source_code"]) == (200, SOURCE)


def test_a_job_whose_result_finds_no_room_has_a_location(full: TestClient) -> None:
    arguments = {"count": 2, "value": "x" * 6000}
    body = {"arguments": arguments}
    few = full.simulate_post("/job/texts/pairs", json=body)
    assert (few.status_code, "result" in few.json) == (200, True)
    body["arguments"]["value"] = "\x00" * 6000
    answer = full.simulate_post("/job/texts/pairs", json=body)
    assert (answer.status_code, answer.json["state"]) == (202, "succeeded")
    assert answer.headers["Location"].startswith("/request/texts/")
