from __future__ import annotations

import random

import pytest

from jobx.actors.inspection.log_causes import LogCauses, read
from jobx.actors.request.branches import ROOT
from jobx.actors.request.events import Adopted, Event, Failed, to_record
from jobx.actors.request.open_at_end import OPEN, open_then
from jobx.actors.request.standing import Group
from jobx.kv.requests import event_log
from jobx.model import Failure
from tests.unit.actors.request.driver import PLAN, Driver, done, mapped, retried

MEMORY = Failure(kind="memory", type="MemoryLimit", message="too much", invocation_id="m3")
TIME = Failure(kind="timeout", type="RequestTimeLimit", message="too long")


def causes(*events: Event) -> LogCauses:
    """Return what a log says: its root has mapped four children, then come these events."""
    begun = Driver(0, random.Random(1)).log
    begun += [mapped(ROOT, 1, 4), done(ROOT, ROOT, outcome="mapped")]
    bodies = map(event_log.encode_record, map(to_record, [*begun, *events]))
    return read(enumerate(bodies), lambda _: PLAN)


def failed(failure: Failure, **notes: object) -> Failed:
    return Failed(1.0, "map", 1, 3, 3, failure, {ROOT: notes} if notes else {})


def test_what_failed_first_is_the_cause_of_a_later_time_limit() -> None:
    found = causes(retried(1, 3, failure=MEMORY), retried(1, 3), failed(TIME)).first(TIME)
    assert found is not None
    assert (found.invocation, found.failure, found.retries) == ("m3", MEMORY, 2)


def test_what_has_ended_well_since_is_no_cause() -> None:
    assert causes(retried(1, 3, failure=MEMORY), done(1, 3), failed(TIME)).first(TIME) is None


def test_the_first_failure_of_what_failed_is_told_if_it_was_tried_again() -> None:
    wrong = Failure(kind="author", type="ValueError", message="no", invocation_id="m3")
    assert causes(failed(wrong)).first(wrong) is None
    first = causes(retried(1, 3, failure=MEMORY), failed(wrong)).first(wrong)
    assert first is not None
    assert first.failure == MEMORY


def test_a_loss_of_an_executor_is_no_failure_of_what_it_had() -> None:
    assert causes(retried(1, 3), failed(TIME)).first(TIME) is None


def test_what_was_open_is_known_by_cause_from_the_last_event() -> None:
    group = Group("queued", "map", "s", 4, 1, since=5.0)
    (then,) = causes(failed(TIME, **{OPEN: open_then([group], 7.5)})).then
    assert (then.cause, then.count, then.vertex, then.since) == ("queued", 4, 1, 2.5)


@pytest.mark.parametrize("wire", [None, [], ["of a later version"] * 9, 7])
def test_a_note_of_another_form_says_nothing(wire: object) -> None:
    assert causes(failed(TIME, **{OPEN: [wire]})).then == []


def test_what_a_log_leaves_open_is_counted() -> None:
    found = causes(done(1, 1), Adopted(2.0, "b", 7))
    assert [(one.cause, one.count) for one in found.left()] == [("ready", 3), ("children", 1)]
    assert found.adopted == 4


def test_a_log_without_a_plan_leaves_nothing_known_open() -> None:
    assert LogCauses().left() == []


@pytest.mark.parametrize(
    ("ended", "failed_one", "left"),
    [
        ([done(1, 1)], None, [("ready", 2, 3)]),
        ([done(1, 1), done(1, 3)], None, [("ready", 2, 2)]),
        ([done(1, 1)], "m2", [("ready", 3, 2)]),
        ([done(1, 1)], "m4", [("ready", 2, 2)]),
        ([done(1, 1), done(1, 2), done(1, 3)], "m4", []),
        ([done(1, 1)], "r0", [("ready", 2, 3)]),
        ([done(1, 1)], "m99", [("ready", 2, 3)]),
    ],
)
def test_what_is_left_open_is_named_after_the_first_that_had_not_ended(
    ended: list[Event], failed_one: str | None, left: list[tuple[str, int, int]]
) -> None:
    groups = causes(*ended).left(failed_one)
    found = [(one.cause, one.vertex, one.count) for one in groups if one.cause != "children"]
    assert found == left
