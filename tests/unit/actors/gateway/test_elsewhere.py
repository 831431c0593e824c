from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from jobx import model
from jobx.actors.gateway import request_verbs
from jobx.actors.gateway.elsewhere import GET_S, Elsewhere
from jobx.actors.inspection.view_builders import request_view
from jobx.actors.messages import Cancel, Described, RequestKey
from jobx.errors import FormUnknown, InvalidInput, JobxError, Unavailable
from jobx.kv import keys
from jobx.kv.requests import request_entity
from jobx.kv.store import Put
from jobx.kv.store import Store as Stored
from jobx.questions import AwaitRequest, CancelRequest, ExplainRequest, GetRequest, Question
from jobx.views import Outcome, RequestView
from tests.support import texts
from tests.support.fake_node import FakeNode

NAMES = {"workflow": texts.WORKFLOW, "request_id": "01arz3ndektsv4rrffq69g5fav"}
GET, CANCEL = GetRequest(**NAMES), CancelRequest(**NAMES, reason="enough")
OPEN = model.Request(
    workflow_name=NAMES["workflow"],
    request_id=NAMES["request_id"],
    job_name="pairs",
    invocation_id="m0",
    accepted_at=1.0,
    coordinator="a",
)
LIVE = replace(OPEN, counts=model.Counts(mapped=7, finished=3))
ENDED = replace(OPEN, state="cancelled", is_done=True, finished_at=2.0)
SILENT = Unavailable("there is no link to node a")


def write(store: Stored, request: model.Request) -> None:
    """Store a request as it is."""
    key = keys.entity("request", request.workflow_name, request.request_id)
    store.commit([Put(key, request_entity.encode(request))])


class Asked:
    """Another node: what it was asked, and what it answers."""

    def __init__(self, *answers: model.Request | JobxError, then: Callable[[], object] = list):
        self.calls: list[tuple[str, str]] = []
        self._answers = list(answers)
        self._then = then

    async def __call__(self, peer: str, question: Question[Any], timeout_s: float) -> Any:
        self.calls.append((peer, question.verb))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        self._then()
        if isinstance(answer, JobxError):
            raise answer
        return request_view(answer, [])


def ask(
    question: Question[RequestView], other: Asked | None, stored: model.Request = OPEN
) -> RequestView:
    """Return the answer of a node that has nothing but the store."""
    node = FakeNode(ask=other)
    write(node.store, stored)
    return asyncio.run(node.call(question))


def test_a_request_of_another_node_is_shown_as_that_node_has_it() -> None:
    other = Asked(LIVE)
    view = ask(GET, other)
    assert (view.counts.finished, view.as_stored) == (3, None)
    assert other.calls == [("a", "request.get")]


@pytest.mark.parametrize("error", [SILENT, InvalidInput("verb", "?", "is not known here")])
def test_a_request_is_shown_as_it_is_stored_if_its_node_does_not_say_more(
    error: JobxError,
) -> None:
    view = ask(GET, Asked(error))
    assert (view.state, view.coordinator) == ("running", "a")
    assert view.as_stored is not None
    assert str(error.args[0]) in view.as_stored


def test_a_silent_node_is_named() -> None:
    expected = f"request {OPEN.request_id} is coordinated by node a: {SILENT.reason}"
    assert ask(GET, Asked(SILENT)).as_stored == expected


def test_why_a_request_waits_names_a_node_that_does_not_say_it() -> None:
    node = FakeNode(ask=Asked(SILENT))
    write(node.store, OPEN)
    view = asyncio.run(node.call(ExplainRequest(**NAMES)))
    assert view.says.startswith(f"request {OPEN.request_id} is coordinated by node a")
    assert view.says.endswith(f": {SILENT.reason}")
    assert view.helps == "jobx cluster status"


def test_an_end_that_came_while_its_node_was_asked_is_shown() -> None:
    node = FakeNode(ask=Asked(SILENT, then=lambda: write(node.store, ENDED)))
    write(node.store, OPEN)
    view = asyncio.run(node.call(GET))
    assert (view.state, view.as_stored) == ("cancelled", None)


def test_why_a_request_ended_is_said_though_its_node_died_when_it_was_asked() -> None:
    node = FakeNode(ask=Asked(SILENT, then=lambda: write(node.store, ENDED)))
    write(node.store, OPEN)
    view = asyncio.run(node.call(ExplainRequest(**NAMES)))
    assert (view.request.state, view.request.as_stored) == ("cancelled", None)
    assert str(SILENT.reason) not in view.says


def test_nobody_is_asked_about_what_has_ended() -> None:
    other = Asked(SILENT)
    assert ask(GET, other, ENDED).state == "cancelled"
    assert ask(CANCEL, other, ENDED).state == "cancelled"
    assert other.calls == []


def test_a_request_that_is_recovered_here_says_so() -> None:
    view = ask(GET, None, replace(OPEN, coordinator="fake"))
    assert view.as_stored == f"request {OPEN.request_id} is being recovered"


def test_the_node_of_a_request_cancels_it() -> None:
    other = Asked(ENDED)
    assert ask(CANCEL, other).state == "cancelled"
    assert other.calls == [("a", "request.cancel")]


def test_a_node_that_takes_a_request_over_cancels_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_verbs, "CANCEL_AGAIN_S", 0.01)
    moved = replace(OPEN, coordinator="c")
    node = FakeNode(ask=(other := Asked(SILENT, ENDED, then=lambda: write(node.store, moved))))
    write(node.store, OPEN)
    assert asyncio.run(node.call(CANCEL)).state == "cancelled"
    assert other.calls == [("a", "request.cancel"), ("c", "request.cancel")]


def test_a_cancel_that_nobody_takes_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_verbs, "CANCEL_PATIENCE_S", 0.1)
    with pytest.raises(Unavailable, match=f"{OPEN.request_id} is coordinated by node a: there is"):
        ask(CANCEL, Asked(SILENT))


def test_a_coordinator_that_is_started_again_cancels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_verbs, "CANCEL_AGAIN_S", 0.01)
    node = FakeNode()
    write(node.store, replace(OPEN, coordinator="fake"))
    asked: list[Cancel] = []

    def no_coordinator_at_first(message: Cancel) -> None:
        asked.append(message)
        if len(asked) > 1:
            write(node.store, ENDED)
        node.desk._tell(Described(message.ticket, None))

    monkeypatch.setattr(node.desk, "_cancel", no_coordinator_at_first)
    assert asyncio.run(node.call(CANCEL)).state == "cancelled"
    assert len(asked) == 2


def test_a_cancel_of_a_request_that_is_not_recovered_in_time_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(request_verbs, "CANCEL_PATIENCE_S", 0.1)
    with pytest.raises(Unavailable, match=f"request {OPEN.request_id} is being recovered"):
        ask(CANCEL, None, replace(OPEN, coordinator="fake"))


def test_a_node_has_time_to_cancel_however_long_the_store_took() -> None:
    given: list[float] = []

    async def other(_peer: str, _asked: Question[Any], timeout_s: float) -> Any:
        given.append(timeout_s)
        return request_view(ENDED, [])

    asyncio.run(Elsewhere("b", other).cancel(CANCEL, OPEN, -3.0))
    assert given == [GET_S]


def test_what_the_node_of_a_request_refuses_is_refused() -> None:
    refusal = FormUnknown("request", "form 9")
    with pytest.raises(FormUnknown):
        ask(CANCEL, Asked(refusal))


def test_a_node_without_others_cancels_nothing_of_theirs() -> None:
    with pytest.raises(Unavailable, match="is coordinated by node a"):
        ask(CANCEL, None)


def test_a_wait_that_is_over_says_whose_request_it_is() -> None:
    node = FakeNode(ask=Asked(LIVE))
    write(node.store, OPEN)
    view = asyncio.run(node.call(AwaitRequest(**NAMES, wait_s=0.0))).request
    assert view.as_stored == f"request {OPEN.request_id} is coordinated by node a"


LEFT = FormUnknown("request", "form 9")


def left_at_start(other: Asked | None, stored: model.Request) -> FakeNode:
    """Return a node that has left a request to a newer JobX when it started."""
    node = FakeNode(ask=other)
    node.left.add(RequestKey(**NAMES), LEFT)
    write(node.store, stored)
    return node


@pytest.mark.parametrize("asked", [GET, AwaitRequest(**NAMES, wait_s=0.0)])
def test_a_request_that_is_left_open_is_not_said_to_be_recovered(asked: Question[Any]) -> None:
    node = left_at_start(None, replace(OPEN, coordinator="fake"))
    answer = asyncio.run(node.call(asked))
    view = answer.request if isinstance(answer, Outcome) else answer
    assert view.as_stored == str(LEFT)


def test_what_was_left_open_here_is_cancelled_by_the_node_that_has_adopted_it() -> None:
    node = left_at_start(Asked(ENDED), OPEN)
    assert asyncio.run(node.call(CANCEL)).state == "cancelled"


def test_what_was_left_open_here_is_not_left_by_the_node_that_has_adopted_it() -> None:
    view = asyncio.run(left_at_start(Asked(SILENT), OPEN).call(GET))
    assert view.left_open is None
