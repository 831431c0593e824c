from __future__ import annotations

import array
from typing import Any, cast

import pytest
from msgspec import Raw

from jobx import values
from jobx.actors.coordination.attempt_failures import QUOTED_CHARACTERS
from jobx.actors.coordination.executor_reports import ExecutorReports, first_vertex
from jobx.actors.coordination.journal import Journal
from jobx.actors.messages import Lost, RequestKey
from jobx.actors.metrics import Metrics
from jobx.actors.ports import Services
from jobx.actors.request.decisions import Pace, PullMapper, RunMappers, RunReducer
from jobx.actors.request.events import Accepted, Done, Event, Failed, Mapped, Retried
from jobx.actors.request.state import RequestState
from jobx.actors.request.tree import ROOT
from jobx.actors.runtime.address import Address
from jobx.config import NodeSettings, RequestSettings, Settings
from jobx.model import Failure, HandlerRef, Plan, PlanStep, Retry
from jobx.payload import Payload, pack_offsets
from jobx.segments import Returned
from tests.support import frames
from tests.support.payloads import EMPTY
from tests.unit.actors.request.driver import LOST, done, inline, mapped

ACTOR = Address("n", 1, 1)
LIMITS = RequestSettings(lost_attempts=3, max_invocations=20, max_tree_depth=2, max_bytes=1 << 20)
SETTINGS = Settings(node=NodeSettings(capabilities=("general",)), requests=LIMITS)


class Alone:
    """A node without peers."""

    settings = SETTINGS
    own = frozenset(SETTINGS.capabilities)
    missing = Services.missing

    def __init__(self) -> None:
        self.metrics = Metrics()

    def others(self, _workflow: str, _gone_s: float) -> list[frozenset[str]] | None:
        return []


def _ref(name: str, **fields: Any) -> HandlerRef:
    return HandlerRef(handler_name=name, version=name, **fields)


STEP = PlanStep(mapper=_ref("map", retry=Retry(attempts=2, backoff_s=4.0)), reducer=_ref("sum"))
PLAN = Plan(
    steps={
        "s": STEP,
        "gpu": PlanStep(mapper=_ref("map"), reducer=_ref("sum", required_capability="gpu")),
    }
)
ARGUMENTS = values.pack([["text", "a b"]])


class FakeJournal:
    """A journal that only remembers."""

    key = RequestKey("w", "r")

    def __init__(self, state: RequestState) -> None:
        self.state = state
        self.appended: list[tuple[Event, bool]] = []

    def now_at(self) -> float:
        return 5.0

    def append(self, event: Event, *, urgent: bool = False) -> None:
        self.state.apply(event)
        self.appended.append((event, urgent))


class Desk:
    """A request whose root is at work, and what takes answers for it."""

    def __init__(self, *, may_wait: bool = False) -> None:
        self.state = RequestState(PLAN)
        size = len(ARGUMENTS)
        payload = Payload(1, size, ARGUMENTS, offsets=pack_offsets([size]))
        self.state.apply(Accepted(1.0, "j", "s", "p", payload, 60.0, may_wait=may_wait))
        self.pace = Pace()
        self.journal = FakeJournal(self.state)
        journal = cast("Journal", self.journal)
        self.outcomes = ExecutorReports(journal, self.state, self.pace, cast("Services", Alone()))
        self.root = RunMappers(self.state.tree.chunks[ROOT], ROOT, 1)
        self.take_all()

    def take_all(self) -> list[int]:
        found = []
        while (taken := self.state.ready.take_range(lambda *_: 1)) is not None:
            found.append(taken[1])
        return found

    def hear(self, work: Any, *segment: Any) -> list[Event]:
        """Take a segment and return the events that follow."""
        before = len(self.journal.appended)
        self.outcomes.take(work, ACTOR, *frames.read([segment]))
        return [event for event, _ in self.journal.appended[before:]]

    def pull(self) -> PullMapper:
        """Take a suspended mapper, to be asked for more."""
        taken = self.state.ready.take_pull(1000, 1)
        assert taken is not None
        return PullMapper(taken[0], 1, taken[1])

    def children(self, payload: Payload) -> RunMappers:
        """Let the root map children and be done; they are at work."""
        self.state.apply(Mapped(1.0, ROOT, ROOT, "s", 1, payload.count, payload, "d"))
        self.state.apply(done(ROOT, ROOT, outcome="mapped"))
        self.take_all()
        return RunMappers(self.state.tree.chunks[1], 1, payload.count)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def _fields(kind: str, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "type": "ValueError", "message": "wrong"} | more


def _lost(blob: str) -> dict[str, Any]:
    return {"kind": "blob", "type": "BlobDamaged", "message": "gone", "input": blob}


def _chunk_wire(count: int, blob: str | None = None) -> list[Any]:
    ends = pack_offsets(range(1, count + 1))
    return Payload(count, count, None if blob else b"." * count, blob, offsets=ends).to_wire()


CHUNK = Payload.from_wire(_chunk_wire(3))
IN_BLOB = Payload.from_wire(_chunk_wire(3, "b1"))


@pytest.mark.parametrize(("is_reduced", "outcome"), [(True, "reduced"), (False, "combined")])
def test_returned_data_becomes_one_event(desk: Desk, is_reduced: bool, outcome: str) -> None:
    durations = array.array("I", [1, 2, 3]).tobytes()
    wire = inline(b"x").to_wire()
    notes = {0: {"output": "o"}}
    (event,) = desk.hear(desk.root, "returned", 0, 1, [wire], is_reduced, durations, notes)
    payloads = (inline(b"x"),)
    assert event == Done(5.0, "map", 0, 0, 1, outcome, payloads, durations=durations, notes=notes)


def test_the_pace_of_a_step_is_what_its_batches_took(desk: Desk) -> None:
    durations = array.array("I", [20_000, 0, 0]).tobytes()
    desk.hear(desk.root, "returned", 0, 1, [], True, durations, {})
    assert desk.pace.batch("s") == 50


def test_a_mapper_with_more_to_yield_is_kept_and_will_be_asked(desk: Desk) -> None:
    (event,) = desk.hear(desk.root, "mapped", 0, "s", _chunk_wire(2), "d", True, 9, {})
    payload = Payload.from_wire(_chunk_wire(2))
    assert event == Mapped(5.0, 0, 0, "s", 1, 2, payload, "d")
    assert desk.state.ready.suspended == {0: ACTOR}


def test_the_last_chunk_of_a_mapper_ends_it(desk: Desk) -> None:
    desk.hear(desk.root, "mapped", 0, "s", _chunk_wire(2), "d", True, 9, {})
    events = desk.hear(desk.pull(), "mapped", 0, "s", _chunk_wire(1), "e", False, 9, {0: {}})
    assert [type(event) for event in events] == [Mapped, Done]
    assert desk.state.ready.suspended == {}


def test_a_mapper_without_children_is_just_done(desk: Desk) -> None:
    (event,) = desk.hear(desk.root, "mapped", 0, "s", EMPTY.to_wire(), "", False, 1 << 40, {})
    assert isinstance(event, Done)
    assert event.durations == b"\xff" * 4


def test_a_reduction_becomes_one_event(desk: Desk) -> None:
    desk.hear(desk.root, "mapped", 0, "s", EMPTY.to_wire(), "", False, 1, {})
    work = RunReducer(0, 0, 1, 1, ())
    (event,) = desk.hear(work, "reduced", 0, 0, [inline(b"r").to_wire()], 7, {})
    assert event == Done(
        5.0, "reduce", 0, 0, 1, "reduced", (inline(b"r"),), 0, array.array("I", [7]).tobytes()
    )


@pytest.mark.parametrize(
    "segment",
    [
        ("returned", 1, 3, [], True, b"", {}),
        ("mapped", 1, "s", _chunk_wire(2), "d", False, 1, {}),
        ("failed", 1, _fields("author"), 1, {}),
        ("unstarted", 1, 3),
    ],
    ids=lambda segment: segment[0],
)
def test_answers_of_siblings_that_were_dropped_change_nothing(
    desk: Desk, segment: tuple[Any, ...]
) -> None:
    work = desk.children(CHUNK)
    desk.state.apply(_again(ROOT))
    desk.state.apply(done(ROOT, ROOT, body=b"x"))
    assert desk.hear(work, *segment) == []
    assert desk.take_all() == [ROOT]


def _again(vertex: int) -> Retried:
    return Retried(1.0, "map", ROOT, vertex, 1, 2, 0.0, LOST)


def test_a_mapper_of_an_older_attempt_is_closed_and_its_chunk_is_not_taken(desk: Desk) -> None:
    desk.hear(desk.root, "mapped", 0, "s", _chunk_wire(2), "d", True, 9, {})
    stale = desk.pull()
    desk.state.apply(_again(ROOT))
    assert desk.hear(stale, "mapped", 0, "s", _chunk_wire(2), "e", True, 9, {}) == []
    assert desk.state.ready.discarded == [(ACTOR, 0)]
    assert desk.hear(stale, "mapped", 0, "s", _chunk_wire(2), "e", False, 9, {}) == []


def test_a_reduction_of_an_older_input_changes_nothing(desk: Desk) -> None:
    desk.hear(desk.root, "mapped", 0, "s", EMPTY.to_wire(), "", False, 1, {})
    assert desk.hear(RunReducer(0, 0, 1, 7, ()), "reduced", 0, 0, [], 7, {}) == []


def test_a_fault_is_tried_again_as_the_handler_says_and_then_ends_the_request(
    desk: Desk,
) -> None:
    (event,) = desk.hear(desk.root, "failed", 0, _fields("author"), 1, {})
    assert isinstance(event, Retried)
    assert (event.kind, event.attempt, event.delay_s) == ("map", 2, 4.0)
    (event,) = desk.hear(desk.root, "failed", 0, _fields("author"), 1, {0: {"output": "o"}})
    assert isinstance(event, Failed)
    assert (event.attempt, event.notes) == (2, {0: {"output": "o"}})
    assert desk.state.failure == event.failure
    assert [urgent for _, urgent in desk.journal.appended] == [False, True]


def test_a_failure_says_which_invocation_failed_and_on_what(desk: Desk) -> None:
    (event,) = desk.hear(desk.root, "failed", 0, _fields("author"), 1, {})
    assert isinstance(event, Retried)
    failure = event.failure
    assert (failure.invocation_id, failure.handler_name, failure.step_name) == ("m0", "map", "s")
    assert (failure.input, failure.attempt) == ("[['text', 'a b']]", 1)


def test_what_a_failure_says_already_is_kept(desk: Desk) -> None:
    fields = _fields("author", handler_name="combine", invocation_id="c0", input="mine")
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
    (event,) = desk.hear(work, "failed", 1, _fields("author"), 1, {})
    assert isinstance(event, Retried)
    shown = event.failure.input
    assert (shown and shown[:4]) == quoted
    assert len(shown or "") <= QUOTED_CHARACTERS


def test_a_failed_reduction_names_the_reducer_and_its_partition(desk: Desk) -> None:
    desk.hear(desk.root, "mapped", 0, "s", EMPTY.to_wire(), "", False, 1, {})
    (event,) = desk.hear(RunReducer(0, 0, 1, 1, ()), "failed", 0, _fields("crash"), 1, {})
    assert isinstance(event, Retried)
    assert (event.kind, event.first, event.partition) == ("reduce", 0, 0)
    failure = event.failure
    assert (failure.invocation_id, failure.handler_name, failure.input) == ("r0", "sum", None)


def test_a_suspended_mapper_that_failed_is_asked_no_more(desk: Desk) -> None:
    desk.hear(desk.root, "mapped", 0, "s", _chunk_wire(2), "d", True, 9, {})
    desk.hear(desk.pull(), "failed", 0, _fields("author"), 1, {})
    assert desk.state.ready.suspended == {}


def test_what_was_not_started_is_ready_again(desk: Desk) -> None:
    work = desk.children(CHUNK)
    assert desk.hear(work, "unstarted", 2, 2) == []
    assert desk.take_all() == [2, 3]


def test_an_empty_part_of_a_batch_is_not_given_back(desk: Desk) -> None:
    work = desk.children(CHUNK)
    desk.outcomes.give_back(work, 2, 2)
    desk.outcomes.give_back(PullMapper(0, 1), 0, 1)
    assert desk.take_all() == []


@pytest.mark.parametrize(
    ("step", "count", "kind", "error_type"),
    [
        ("nowhere", 2, "protocol", "UnknownStep"),
        ("gpu", 2, "capability", "NoCapability"),
        ("s", 20, "limit", "TooManyInvocations"),
    ],
)
def test_a_mapper_that_may_not_map_on_ends_the_request(
    desk: Desk, step: str, count: int, kind: str, error_type: str
) -> None:
    (event,) = desk.hear(desk.root, "mapped", 0, step, _chunk_wire(count), "d", True, 9, {})
    assert isinstance(event, Failed)
    assert (event.failure.kind, event.failure.type) == (kind, error_type)


@pytest.mark.parametrize("digest", ["d", "another"])
def test_mappers_that_are_yielded_again_count_once(desk: Desk, digest: str) -> None:
    most = LIMITS.max_invocations - 1  # and the root
    desk.hear(desk.root, "mapped", 0, "s", _chunk_wire(most), "d", True, 9, {})
    desk.state.apply(_again(ROOT))
    (event,) = desk.hear(desk.root, "mapped", 0, "s", _chunk_wire(most), digest, True, 9, {})
    assert isinstance(event, Mapped)
    assert desk.state.tree.mapped_count == LIMITS.max_invocations


def test_a_request_that_may_wait_maps_on_to_what_nobody_can_do() -> None:
    desk = Desk(may_wait=True)
    (event,) = desk.hear(desk.root, "mapped", 0, "gpu", _chunk_wire(2), "d", True, 9, {})
    assert isinstance(event, Mapped)


def test_a_tree_has_a_greatest_depth(desk: Desk) -> None:
    desk.state.apply(mapped(ROOT, 1, 1))
    work = RunMappers(desk.state.tree.chunks[1], 1, 1)
    desk.hear(work, "mapped", 1, "s", _chunk_wire(1), "d", False, 9, {})
    deepest = RunMappers(desk.state.tree.chunks[2], 2, 1)
    (event,) = desk.hear(deepest, "mapped", 2, "s", _chunk_wire(1), "d", False, 9, {})
    assert isinstance(event, Failed)
    assert event.failure.type == "TreeTooDeep"


def test_a_request_that_passed_on_too_much_ends(desk: Desk) -> None:
    work = desk.children(CHUNK)
    large, small = Payload(1, 2 << 20, None, "b1").to_wire(), inline(b"x").to_wire()
    (last,) = desk.hear(work, "returned", 1, 1, [large], True, b"", {})
    (event,) = desk.hear(work, "returned", 2, 1, [small], True, b"", {})
    assert isinstance(last, Done)
    assert isinstance(event, Failed)
    assert (event.failure.kind, event.failure.type) == ("limit", "TooMuchData")


def test_an_input_that_is_gone_runs_again_what_left_it(desk: Desk) -> None:
    work = desk.children(CHUNK)
    in_blob = Payload(2, 9, None, "b1").to_wire()
    desk.hear(work, "returned", 1, 2, [in_blob], True, b"", {})
    desk.hear(work, "returned", 3, 1, [inline(b"x").to_wire()], True, b"", {})
    desk.state.ready.take_reduce()
    reducer = RunReducer(0, 0, 1, 1, ())
    (event,) = desk.hear(reducer, "failed", 0, _lost("b1"), 1, {})
    assert isinstance(event, Retried)
    assert (event.kind, event.chunk, event.first, event.count) == ("map", 1, 1, 2)
    assert desk.take_all() == [1, 2]
    assert desk.state.ready.take_reduce() is None


def test_children_whose_arguments_are_gone_run_when_these_are_there_again(desk: Desk) -> None:
    work = desk.children(IN_BLOB)
    for vertex in (1, 2, 3):
        desk.hear(work, "failed", vertex, _lost("b1"), 1, {})
    assert [type(event) for event, _ in desk.journal.appended] == [Retried]
    assert desk.take_all() == [ROOT]
    desk.hear(desk.root, "mapped", 0, "s", _chunk_wire(3, "b2"), "d", False, 9, {})
    assert sorted(desk.take_all()) == [1, 2, 3]


def test_a_suspended_mapper_that_must_yield_again_is_closed(desk: Desk) -> None:
    desk.hear(desk.root, "mapped", 0, "s", _chunk_wire(2, "b1"), "d", True, 9, {})
    desk.take_all()
    children = RunMappers(desk.state.tree.chunks[1], 1, 2)
    desk.hear(children, "failed", 1, _lost("b1"), 1, {})
    assert desk.state.ready.discarded == [(ACTOR, 0)]
    assert desk.state.ready.suspended == {}


def test_a_blob_that_is_gone_again_and_again_ends_the_request(desk: Desk) -> None:
    work = desk.children(IN_BLOB)
    for number in range(2, 10):
        desk.hear(work, "failed", 1, _lost(f"b{number - 1}"), 1, {})
        if desk.state.failure is not None:
            break
        wire = _chunk_wire(3, f"b{number}")
        desk.hear(desk.root, "mapped", 0, "s", wire, "d", False, 9, {})
    assert desk.state.failure is not None
    assert desk.state.failure.kind == "blob"


def test_a_blob_that_nobody_left_counts_against_who_needs_it(desk: Desk) -> None:
    for _ in range(LIMITS.lost_attempts):
        assert desk.state.is_running
        desk.hear(desk.root, "failed", 0, _lost("unknown"), 1, {})
    assert desk.state.failure is not None


def test_the_first_vertex_of_work_is_blamed(desk: Desk) -> None:
    assert first_vertex(RunMappers(desk.state.tree.chunks[ROOT], 7, 2)) == 7
    assert first_vertex(PullMapper(8, 1)) == 8
    assert first_vertex(RunReducer(9, 0, 1, 1, ())) == 9


def test_what_overlaps_what_is_done_counts_for_nothing_and_its_rest_runs_again(desk: Desk) -> None:
    work = desk.children(CHUNK)
    durations = bytes(4 * 3 * 2)
    assert len(desk.hear(work, "returned", 2, 2, [], True, durations, {})) == 1
    assert desk.hear(work, "returned", 1, 2, [], True, durations, {}) == []
    assert desk.take_all() == [1]


def test_what_was_left_and_cannot_be_read_fails_its_invocation_and_no_other(desk: Desk) -> None:
    work = desk.children(CHUNK)
    left = Returned(1, 3, [], True, b"\0" * 36, Raw(b"\x81\x01\xd4\x63x"))
    desk.outcomes.take(work, ACTOR, left)
    ((event, _),) = desk.journal.appended
    assert isinstance(event, Failed | Retried)
    assert "extension type 99" in event.failure.message
    assert desk.take_all() == [2, 3]


CRASHED = Failure(kind="crash", type="ExecutorCrashed", message="gone")


def test_batch_that_was_lost_before_it_began_is_ready_again(desk: Desk) -> None:
    work = desk.children(CHUNK)
    desk.outcomes.lose(work, Lost(1, None, CRASHED))
    assert sorted(desk.take_all()) == [1, 2, 3]
    assert desk.journal.appended == []


def test_only_the_culprit_of_a_batch_that_was_lost_has_failed(desk: Desk) -> None:
    work = desk.children(CHUNK)
    desk.outcomes.lose(work, Lost(1, 2, CRASHED))
    (event,) = [event for event, _ in desk.journal.appended]
    assert isinstance(event, Retried)
    assert (event.first, event.count, event.failure.kind) == (2, 1, "crash")
    assert sorted(desk.take_all()) == [1, 2, 3]


def test_suspended_mapper_that_was_lost_begins_anew(desk: Desk) -> None:
    desk.hear(desk.root, "mapped", 0, "s", _chunk_wire(2), "d", True, 9, {})
    desk.outcomes.lose(desk.pull(), Lost(1, None, CRASHED))
    event, _ = desk.journal.appended[-1]
    assert isinstance(event, Retried)
    assert event.failure.kind == "lost"
