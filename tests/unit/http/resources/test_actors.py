"""The console over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from falcon.testing import TestClient

from jobx import questions
from jobx.actors.inspection import actor_dump
from jobx.config_sections import HttpSettings
from jobx.http.app import create_app
from jobx.http.byte_budget import ByteBudget
from jobx.http.writing import answer_memory
from tests.support.fake_node import FakeNode

ADDRESS = "fake/1/2"


def root(client: TestClient) -> str:
    address: str = client.simulate_get("/actors/list").json["actors"][0]["address"]
    return address


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/actors", "actors"),
        ("/actors/summary", "classes"),
        ("/actors/list", "actors"),
        ("/actors/top?by=handled", "actors"),
        ("/actors/dead-letters", "letters"),
        ("/actors/dump", "summary"),
    ],
)
def test_each_view_of_the_console_is_shown(client: TestClient, path: str, key: str) -> None:
    answer = client.simulate_get(path)
    assert answer.status_code == 200
    assert key in answer.json


def test_one_actor_is_shown_by_its_address(client: TestClient) -> None:
    answer = client.simulate_get("/actors/show", params={"address": root(client)})
    assert answer.json["actor"]["class_name"] == "Supervisor"


def test_a_question_has_all_that_the_query_says(client: TestClient, node: FakeNode) -> None:
    query = "class=Batch&name=a%20b&state=busy&limit=7"
    assert client.simulate_get(f"/actors/list?{query}").status_code == 200
    assert node.last("actors.list") == questions.ListActors(
        class_name="Batch", name="a b", state="busy", limit=7
    )


def test_a_trace_waits_as_long_as_it_is_asked_to(client: TestClient, node: FakeNode) -> None:
    answer = client.simulate_get("/actors/trace?wait=1&limit=3")
    assert (answer.status_code, answer.json["messages"]) == (200, [])
    assert node.last("actors.trace") == questions.TraceActors(wait_s=1, limit=3)


@pytest.mark.parametrize(
    ("accept", "start", "media_type"),
    [
        ("*/*", b"{", "application/json"),
        ("text/plain", b"node fake: ", "text/plain; charset=utf-8"),
        ("text/vnd.graphviz", b"digraph actors {", "text/vnd.graphviz"),
    ],
)
def test_a_dump_comes_as_it_is_accepted(
    client: TestClient, accept: str, start: bytes, media_type: str
) -> None:
    answer = client.simulate_get("/actors/dump", headers={"Accept": accept})
    assert answer.content.startswith(start)
    assert answer.headers["Content-Type"] == media_type
    assert "Accept" in answer.headers["Vary"]


def test_a_dump_takes_room_for_each_page_before_it_asks_for_it(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    app: Any = create_app(node, HttpSettings())
    budget, call = ByteBudget("answers", 1 << 20), node.call
    taken: dict[str, int] = {}

    async def budgeted(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await app({**scope, answer_memory.ANSWERS: budget}, receive, send)

    async def asked(question: questions.Question[Any], *rest: Any) -> Any:
        taken[type(question).__name__] = budget.taken_bytes
        return await call(question, *rest)

    monkeypatch.setattr(node, "call", asked)
    assert TestClient(budgeted).simulate_get("/actors/dump").status_code == 200
    assert taken["GetActorSummary"] == 0
    assert taken["ListActors"] == actor_dump.PAGE * answer_memory.ITEM_BYTES


def test_a_dump_in_another_form_is_406(client: TestClient) -> None:
    assert client.simulate_get("/actors/dump", headers={"Accept": "image/gif"}).status_code == 406


@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_what_the_node_needs_is_409_by_name(client: TestClient, verb: str) -> None:
    answer = client.simulate_post(f"/actors/{verb}", params={"address": root(client)})
    assert (answer.status_code, answer.json["code"]) == (409, "in-use")
    assert "actor Supervisor" in answer.json["detail"]


@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_what_is_told_to_an_actor_has_no_body(client: TestClient, verb: str) -> None:
    address = root(client)
    assert client.simulate_get(f"/actors/{verb}", params={"address": address}).status_code == 405
    answer = client.simulate_post(f"/actors/{verb}?address={address}", json={"x": 1})
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("/actors/list?limit=0", 400, "query parameter limit: must be 1 to 1000 (got '0')"),
        ("/actors/list?limit=1001", 400, "query parameter limit: must be 1 to 1000"),
        ("/actors/list?state=awake", 400, "query parameter state: must be one of idle, busy"),
        ("/actors/list?colour=red", 400, "query parameter colour: unknown"),
        ("/actors/list?class=Colour", 400, "class: is no class of actors; there are Batch"),
        ("/actors/list?below=x", 400, "below: is no address of an actor"),
        ("/actors/list?below=n/1/9", 404, "there is no actor named n/1/9"),
        ("/actors/list?after=x", 400, "after: is no cursor"),
        ("/actors/list?after=1-00000000", 400, "after: is the cursor of another list"),
        ("/actors/list?name=" + "x" * 129, 400, "query parameter name: has 1 to 128 characters"),
        ("/actors/top?by=size", 400, "query parameter by: must be one of time, handled"),
        ("/actors/show", 400, "query parameter address: must name an actor"),
        ("/actors/show?address=x", 400, "address: is no address of an actor"),
        ("/actors/trace?wait=0", 400, "query parameter wait: must be 1 to 60"),
        ("/actors/trace?wait=61", 400, "query parameter wait: must be 1 to 60"),
        ("/actors/trace?address=n/1/9", 404, "there is no actor named n/1/9"),
        ("/actors/summary?node=b", 404, "there is no node named b: this one, fake, is in no"),
    ],
)
def test_what_is_wrong_is_refused_by_name(
    client: TestClient, path: str, status: int, detail: str
) -> None:
    answer = client.simulate_get(path)
    assert answer.status_code == status
    assert answer.json["detail"].startswith(detail)


def test_another_node_is_asked_for_what_it_knows() -> None:
    asked: list[Any] = []

    async def ask(peer: str, question: Any, timeout_s: float) -> Any:
        asked.append((peer, question, timeout_s))
        return await there.answer(question)

    there = FakeNode()

    client = TestClient(create_app(FakeNode(ask=ask), HttpSettings()))
    assert client.simulate_get("/actors/list?node=b&limit=3").status_code == 200
    assert asked == [("b", questions.ListActors(limit=3), 5.0)]
