from __future__ import annotations

import pytest
from msgspec.structs import replace

from jobx import model
from jobx.actors.coordination.taken_up import (
    Fate,
    GiveBack,
    GoOn,
    HasEnded,
    LeaveOpen,
    ReadAgain,
    TakenUp,
)
from jobx.actors.messages import LogRead, RequestKey, Waiting
from jobx.actors.recovery import Recovery
from jobx.errors import (
    Conflict,
    EntryDamaged,
    FormUnknown,
    InternalError,
    JobxError,
    NotFound,
    StoreUnavailable,
)
from jobx.kv.requests.lives import Mark, OpenRequest

KEY = RequestKey("w", "r")
OPEN = model.Request(
    workflow_name="w",
    request_id="r",
    job_name="j",
    invocation_id="m0",
    accepted_at=1.0,
    coordinator="b",
)
OF_A = replace(OPEN, coordinator="a")
OF_C = replace(OPEN, coordinator="c")
ENDED = replace(OPEN, is_done=True, state="succeeded")
DAMAGED = EntryDamaged("/log/1", "a wrong checksum")
NEWER = FormUnknown("/log/1", "form 9")
UNREAD = StoreUnavailable("etcd", "no answer")
GONE = NotFound("request", "r")


def taken_of(node_id: str | None, *, is_lost: bool = True) -> TakenUp:
    """Return what node b has taken up: the request, of a node or not at all."""
    made = TakenUp("b", 7, lambda _: is_lost)
    if node_id is not None:
        made.take(Recovery(5), [Waiting(KEY, deaths=1, node_id=node_id)], None)
    return made


def fate(taken: TakenUp, request: model.Request | None, error: JobxError | None = None) -> Fate:
    return taken.fate(LogRead(KEY, request, error=error))


@pytest.mark.parametrize(
    ("request_", "error", "expected"),
    [
        (OPEN, None, GoOn(OPEN)),
        (OPEN, DAMAGED, GoOn(OPEN)),
        (ENDED, None, HasEnded(ENDED)),
        (None, UNREAD, ReadAgain(UNREAD)),
        (None, NEWER, LeaveOpen(NEWER, None)),
        (OPEN, NEWER, LeaveOpen(NEWER, OPEN)),
        (None, DAMAGED, GiveBack(DAMAGED, str(DAMAGED))),
    ],
)
def test_a_request_of_this_node_has_the_fate_that_its_log_tells(
    request_: model.Request | None, error: JobxError | None, expected: Fate
) -> None:
    assert fate(taken_of(None), request_, error) == expected


@pytest.mark.parametrize(
    ("request_", "error", "expected"),
    [
        (OF_A, None, GoOn(OF_A)),
        (replace(OF_A, coordinator=None), None, GoOn(replace(OF_A, coordinator=None))),
        (OF_A, DAMAGED, GoOn(OF_A)),
        (None, UNREAD, ReadAgain(UNREAD)),
    ],
)
def test_a_request_of_a_lost_node_goes_on_here(
    request_: model.Request | None, error: JobxError | None, expected: Fate
) -> None:
    assert fate(taken_of("a"), request_, error) == expected


@pytest.mark.parametrize(
    ("request_", "error", "says"),
    [
        (replace(ENDED, coordinator="a"), None, "node a has ended it"),
        (OF_A, NEWER, f"lost node a wrote what cannot be ended here: {NEWER}"),
        (None, DAMAGED, f"lost node a wrote what cannot be ended here: {DAMAGED}"),
        (None, GONE, f"lost node a wrote what cannot be ended here: {GONE}"),
        (OF_C, None, "node c coordinates it"),
    ],
)
def test_a_request_of_a_lost_node_is_left_to_others_that_have_or_know_it(
    request_: model.Request | None, error: JobxError | None, says: str
) -> None:
    found = fate(taken_of("a"), request_, error)
    assert isinstance(found, GiveBack)
    assert (type(found.error), found.says) == (Conflict, says)


def test_a_request_stays_with_its_node_that_is_back() -> None:
    found = fate(taken_of("a", is_lost=False), OF_A)
    assert isinstance(found, GiveBack)
    assert found.says == "node a is back"


def test_a_request_that_was_adopted_before_its_coordinator_died_goes_on_here() -> None:
    taken = taken_of("a", is_lost=False)
    assert fate(taken, OPEN) == GoOn(OPEN)
    assert taken.of(KEY) is None


def test_a_request_that_was_never_accepted_is_refused_by_a_fault_of_jobx() -> None:
    found = fate(taken_of(None), None, GONE)
    assert isinstance(found, GiveBack)
    assert isinstance(found.error, InternalError)


def test_another_nodes_request_is_marked_with_who_reads_it() -> None:
    own, foreign, pardoned = (RequestKey("w", name) for name in ("own", "foreign", "pardoned"))
    taken = TakenUp("b", 7, lambda _: True)
    waiting = [Waiting(own), Waiting(foreign, node_id="a")]
    marks = taken.take(Recovery(5), waiting, Waiting(pardoned))
    assert [(one.node_id, one.request_id, one.mark.reader) for one in marks] == [
        ("b", "own", ""),
        ("a", "foreign", "b"),
        ("b", "pardoned", ""),
    ]
    assert taken.of(foreign) == OpenRequest("a", *foreign, Mark(life=7))
