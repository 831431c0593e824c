"""What a failed attempt says, and what follows."""

from __future__ import annotations

import pytest
from msgspec import Raw

from jobx import values
from jobx.actors.coordination.attempt_failures import QUOTED_CHARACTERS
from jobx.actors.request.decisions import RunReducer
from jobx.actors.request.events import Failed, Retried
from jobx.payload import Payload, pack_offsets
from jobx.segments import Returned
from tests.support.payloads import EMPTY
from tests.unit.actors.coordination.report_desk import ACTOR, CHUNK, Desk, chunk_wire, failed_fields


def test_a_fault_is_tried_again_as_the_handler_says_and_then_ends_the_request(
    desk: Desk,
) -> None:
    (event,) = desk.hear(desk.root, "failed", 0, failed_fields("author"), 1, {})
    assert isinstance(event, Retried)
    assert (event.kind, event.attempt, event.delay_s) == ("map", 2, 4.0)
    (event,) = desk.hear(desk.root, "failed", 0, failed_fields("author"), 1, {0: {"output": "o"}})
    assert isinstance(event, Failed)
    assert (event.attempt, event.notes) == (2, {0: {"output": "o"}})
    assert desk.state.failure == event.failure
    assert [urgent for _, urgent in desk.journal.appended] == [False, True]


def test_a_failure_says_which_invocation_failed_and_on_what(desk: Desk) -> None:
    (event,) = desk.hear(desk.root, "failed", 0, failed_fields("author"), 1, {})
    assert isinstance(event, Retried)
    failure = event.failure
    assert (failure.invocation_id, failure.handler_name, failure.step_name) == ("m0", "map", "s")
    assert (failure.input, failure.attempt) == ("[['text', 'a b']]", 1)


def test_what_a_failure_says_already_is_kept(desk: Desk) -> None:
    fields = failed_fields("author", handler_name="combine", invocation_id="c0", input="mine")
    (event,) = desk.hear(desk.root, "failed", 0, fields, 1, {})
    assert isinstance(event, Retried)
    failure = event.failure
    assert (failure.handler_name, failure.invocation_id, failure.input) == ("combine", "c0", "mine")


@pytest.mark.parametrize(
    ("payload", "quoted"),
    [
        (Payload(1, 300, values.pack("x" * 300), offsets=pack_offsets([303])), "'xxx"),
        (Payload(1, 1, b"\xc1", offsets=pack_offsets([1])), None),
        (Payload(1, 1, None, "b", offsets=pack_offsets([1])), None),
    ],
    ids=["long", "damaged", "in a blob"],
)
def test_an_input_is_quoted_as_far_as_it_is_at_hand(
    desk: Desk, payload: Payload, quoted: str | None
) -> None:
    work = desk.children(payload)
    (event,) = desk.hear(work, "failed", 1, failed_fields("author"), 1, {})
    assert isinstance(event, Retried)
    shown = event.failure.input
    assert (shown and shown[:4]) == quoted
    assert len(shown or "") <= QUOTED_CHARACTERS


def test_a_failed_reduction_names_the_reducer_and_its_partition(desk: Desk) -> None:
    desk.hear(desk.root, "mapped", 0, "s", EMPTY.to_wire(), "", False, 1, {})
    (event,) = desk.hear(RunReducer(0, 0, 1, 1, ()), "failed", 0, failed_fields("crash"), 1, {})
    assert isinstance(event, Retried)
    assert (event.kind, event.first, event.partition) == ("reduce", 0, 0)
    failure = event.failure
    assert (failure.invocation_id, failure.handler_name, failure.input) == ("r0", "sum", None)


def test_a_suspended_mapper_that_failed_is_asked_no_more(desk: Desk) -> None:
    desk.hear(desk.root, "mapped", 0, "s", chunk_wire(2), "d", True, 9, {})
    desk.hear(desk.pull(), "failed", 0, failed_fields("author"), 1, {})
    assert desk.state.ready.suspended == {}


def test_what_was_left_and_cannot_be_read_fails_its_invocation_and_no_other(desk: Desk) -> None:
    work = desk.children(CHUNK)
    left = Returned(1, 3, [], True, b"\0" * 36, Raw(b"\x81\x01\xd4\x63x"))
    desk.outcomes.take(work, ACTOR, left)
    ((event, _),) = desk.journal.appended
    assert isinstance(event, Failed | Retried)
    assert "extension type 99" in event.failure.message
    assert desk.take_all() == [2, 3]
