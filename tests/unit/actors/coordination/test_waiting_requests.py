from __future__ import annotations

from collections.abc import Callable

import pytest

from jobx import model
from jobx.actors.coordination.restarts import COORDINATOR_POLICY
from jobx.actors.coordination.waiting_requests import WaitingRequests
from jobx.actors.messages import RequestKey, Waiting
from jobx.errors import InternalError, TooLarge
from jobx.kv.requests.lives import Mark, OpenRequest

KEY = RequestKey("w", "r")
OPEN = model.Request(
    workflow_name="w", request_id="r", job_name="j", invocation_id="m0", accepted_at=1.0
)


@pytest.fixture
def waiting() -> WaitingRequests:
    return WaitingRequests("b", 7, lambda _: True, limit=5)


def add(waiting: WaitingRequests) -> None:
    waiting.add([Waiting(KEY)])


def take(waiting: WaitingRequests) -> None:
    add(waiting)
    waiting.take(0.0, has_room=True)


def die(waiting: WaitingRequests, times: int = 1) -> None:
    for _ in range(times):
        waiting.restarts.died(KEY, 0.0, "a fault")


def die_too_often(waiting: WaitingRequests) -> None:
    die(waiting, COORDINATOR_POLICY.max_restarts + 1)


def set_aside(waiting: WaitingRequests) -> None:
    waiting.add([Waiting(KEY, 5, is_set_aside=True)])
    waiting.take(0.0, has_room=True)


def refuse(waiting: WaitingRequests) -> None:
    waiting.end(KEY, TooLarge("an event", 2, 1))


Step = Callable[[WaitingRequests], None]


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (lambda _: None, ""),
        (add, "it waits for its continuation, after 0 others"),
        (take, "its log is being read"),
        (die, "its coordinator died 1 times, the last time with a fault; it is rebuilt"),
        (die_too_often, "it is being ended: the coordinator of request w/r failed 4 times"),
        (set_aside, "it is being ended: the node died 5 times in a row"),
        (refuse, "it is being ended: "),
    ],
)
def test_it_is_known_why_a_request_has_no_coordinator(
    waiting: WaitingRequests, step: Step, why: str
) -> None:
    step(waiting)
    found = waiting.why(KEY, has_room=True)
    assert found.startswith(why)
    assert bool(found) == bool(why)


@pytest.mark.parametrize(
    ("step", "type_"),
    [
        (take, None),
        (die, None),
        (die_too_often, "CoordinatorFailed"),
        (set_aside, "NodeDied"),
        (refuse, "EventRefused"),
    ],
)
def test_a_request_ends_only_for_what_its_next_coordinator_would_meet_again(
    waiting: WaitingRequests, step: Step, type_: str | None
) -> None:
    step(waiting)
    failure = waiting.failure(KEY)
    assert (failure and failure.type) == type_


@pytest.mark.parametrize(
    ("error", "kind"), [(TooLarge("an event", 2, 1), "limit"), (InternalError("?"), "internal")]
)
def test_a_refused_event_says_whether_a_limit_refused_it(
    waiting: WaitingRequests, error: TooLarge | InternalError, kind: str
) -> None:
    waiting.end(KEY, error)
    failure = waiting.failure(KEY)
    assert failure is not None
    assert failure.kind == kind


def test_nothing_is_taken_without_room(waiting: WaitingRequests) -> None:
    add(waiting)
    assert waiting.take(0.0, has_room=False) == ([], [])


def test_a_request_of_another_node_is_marked_with_who_reads_it(waiting: WaitingRequests) -> None:
    waiting.add([Waiting(KEY, node_id="a")])
    taken = waiting.take(0.0, has_room=True)
    assert taken == ([KEY], [OpenRequest("a", *KEY, Mark(7, 0, reader="b"))])


def test_a_request_goes_to_its_coordinator_as_it_was_taken_up(waiting: WaitingRequests) -> None:
    waiting.add([Waiting(KEY, node_id="a")])
    waiting.take(0.0, has_room=True)
    request, mark = waiting.begun(KEY, OPEN)
    assert (request.coordinator, mark, waiting.reading) == ("a", Mark(7, 0), set())


def test_one_whose_coordinator_died_in_this_life_has_no_mark(waiting: WaitingRequests) -> None:
    waiting.reading.add(KEY)
    assert waiting.begun(KEY, OPEN) == (OPEN, Mark())


@pytest.mark.parametrize("step", [take, die, die_too_often, set_aside, refuse])
def test_nothing_is_left_of_a_request_that_is_forgotten(
    waiting: WaitingRequests, step: Step
) -> None:
    step(waiting)
    waiting.forget(KEY)
    assert waiting.why(KEY, has_room=True) == ""
    assert waiting.taken_up.of(KEY) is None
