from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx.actors.request.branches import MAPPER, ROOT
from jobx.actors.request.capabilities import Foreign
from jobx.actors.request.decisions import (
    BATCH_BYTES,
    BATCH_S,
    CHUNK_PAIRS,
    MAX_CHUNKS,
    Finish,
    Pace,
    PullMapper,
    RunMappers,
    RunReducer,
    Wait,
    chunk_of,
    decide,
)
from jobx.actors.request.events import Cancelled, Failed, Finished, Mapped
from jobx.actors.request.state import RequestState
from jobx.model import Failure, Plan
from jobx.payload import Payload, pack_offsets
from tests.unit.actors.request.driver import (
    NEVER,
    PLAN,
    accepted,
    done,
    inline,
    items,
    mapped,
    reduced,
    retried,
)

GPU = ("gpu",)
AUTHOR = Failure(kind="author", type="ValueError", message="wrong")


@pytest.fixture
def state() -> RequestState:
    """A request whose root is ready."""
    begun = RequestState(PLAN)
    accepted(begun)
    return begun


def _decide(state: RequestState, room: int = 100, pace: Pace | None = None) -> list[object]:
    return list(decide(state, pace or Pace(), room=room, slots=2, window=4000))


def _batches(state: RequestState, pace: Pace) -> list[int]:
    """Return the sizes of all batches of what is ready."""
    decisions = decide(state, pace, room=NEVER, slots=2, window=4000)
    return [d.count for d in decisions if isinstance(d, RunMappers)]


def _children(state: RequestState, count: int, size_bytes: int = 1) -> None:
    _decide(state)
    state.apply(Mapped(0.0, ROOT, ROOT, "s", 1, count, items(count, size_bytes), ""))
    state.apply(done(ROOT, ROOT, outcome="mapped"))


def _paced(count: int, seconds: float) -> Pace:
    pace = Pace()
    pace.record("s", count, seconds)
    return pace


def test_each_decision_comes_once(state: RequestState) -> None:
    assert _decide(state) == [RunMappers(state.tree.chunks[ROOT], ROOT, 1)]
    assert _decide(state) == []


@pytest.mark.parametrize(("room", "batches"), [(0, 0), (1, 1), (2, 2), (5, 2)])
def test_no_more_is_started_than_there_is_room_for(
    state: RequestState, room: int, batches: int
) -> None:
    _children(state, 10)
    assert len(_decide(state, room)) == batches


def test_reductions_come_first_then_pulls_then_new_mappers(state: RequestState) -> None:
    _children(state, 3)
    _decide(state, room=0)
    state.apply(done(1, 1, outcome="combined", body=b"x"))
    state.apply(mapped(2, 4, 1, chunk=1))
    state.ready.suspended[2] = None
    kinds = [type(decision) for _ in range(2) for decision in _decide(state, 2)]
    assert kinds == [RunReducer, PullMapper, RunMappers, RunMappers]


def test_nothing_is_started_before_a_pull_is_under_way(state: RequestState) -> None:
    _decide(state)
    state.apply(mapped(ROOT, 1, 10))
    state.ready.suspended[ROOT] = None
    assert [type(decision) for decision in _decide(state)] == [PullMapper]


@pytest.mark.parametrize(
    ("window", "chunks"), [(2001, 1), (3000, 1), (3001, 2), (1_000_000, MAX_CHUNKS)]
)
def test_a_mapper_is_asked_for_what_its_window_has_room_for(
    state: RequestState, window: int, chunks: int
) -> None:
    _decide(state)
    state.apply(mapped(ROOT, 1, 1001))
    state.ready.suspended[ROOT] = None
    (pull,) = decide(state, Pace(), room=1, slots=2, window=window)
    assert isinstance(pull, PullMapper)
    assert pull.chunks == chunks


def test_a_reduction_is_told_its_input(state: RequestState) -> None:
    _children(state, 2)
    state.apply(done(1, 2, body=b"b"))
    state.apply(done(1, 1, body=b"a"))
    inputs = (inline(b"a"), inline(b"b"))
    assert RunReducer(ROOT, 0, 1, 1, inputs) in _decide(state)


def test_work_of_each_kind_is_taken_by_itself() -> None:
    both = Plan(steps={**PLAN.steps, "g": PLAN.steps["s"]})
    state = RequestState(both, Foreign({"g": GPU}, {"g": GPU}))
    accepted(state)
    _children(state, 3)
    state.apply(Mapped(0.0, 1, 1, "g", 4, 2, items(2), ""))
    assert [_taken(one) for one in _decide(state)] == [(1, 3)]
    assert [_taken(one) for one in _decide_of(state, GPU)] == [(4, 1), (5, 1)]
    state.apply(done(4, 4, outcome="combined", body=b"x"))
    assert [type(one) for one in _decide_of(state, GPU)] == [RunReducer]
    state.ready.give_back_reduce((4, 0), 1)
    assert (_decide(state), len(_decide_of(state, GPU))) == ([], 1)


def _taken(work: object) -> tuple[int, int]:
    assert isinstance(work, RunMappers)
    return work.first, work.count


def _decide_of(state: RequestState, kind: tuple[str, ...]) -> list[object]:
    return list(decide(state, Pace(), room=100, slots=2, window=4000, kind=kind))


def test_delays_are_handed_out_once_and_without_room(state: RequestState) -> None:
    _decide(state)
    state.apply(retried(ROOT, ROOT, delay_s=7.0))
    assert _decide(state, room=0) == [Wait((ROOT, MAPPER), 7.0, "Lost: ", "lost")]
    assert _decide(state) == []


@pytest.mark.parametrize(
    ("event", "end"),
    [
        (done(ROOT, ROOT, body=b"r"), Finish("succeeded", None, (inline(b"r"),))),
        (Failed(0.0, "map", ROOT, ROOT, 1, AUTHOR), Finish("failed", AUTHOR, ())),
        (
            Cancelled(0.0, "enough"),
            Finish("cancelled", Failure(kind="cancelled", type="Cancelled", message="enough"), ()),
        ),
    ],
)
def test_a_request_finishes_once_for_each_way_to_end(
    state: RequestState, event: Failed | Cancelled, end: Finish
) -> None:
    state.apply(event)
    assert _decide(state) == [end]
    state.apply(Finished(0.0, end.state, end.failure, end.result))
    assert _decide(state) == []
    assert state.failure == end.failure


def test_a_failure_is_told_before_a_cancellation(state: RequestState) -> None:
    state.apply(Cancelled(0.0, "enough"))
    state.apply(Failed(0.0, "map", ROOT, ROOT, 1, AUTHOR))
    assert _decide(state) == [Finish("failed", AUTHOR, ())]


def test_nothing_is_started_once_a_request_has_failed(state: RequestState) -> None:
    _children(state, 3)
    state.apply(retried(1, 1, delay_s=5.0))
    state.apply(Failed(0.0, "map", 1, 2, 1, AUTHOR))
    assert _decide(state) == [Finish("failed", AUTHOR, ())]


@pytest.mark.parametrize("pace", [Pace(), None], ids=["unknown", "quick"])
@pytest.mark.parametrize(("count", "batches"), [(1, [1]), (5, [3, 2]), (1000, [500, 500])])
def test_the_last_siblings_are_shared_out_evenly(
    state: RequestState, pace: Pace | None, count: int, batches: list[int]
) -> None:
    _children(state, count)
    assert _batches(state, pace or _paced(1000, 0.001)) == batches


def test_what_is_given_back_is_shared_out_evenly_again(state: RequestState) -> None:
    _children(state, 1000)
    _batches(state, Pace())
    state.ready.give_back(1, 101, 400)
    assert _batches(state, Pace()) == [200, 200]


def test_siblings_that_others_follow_are_not_shared_out(state: RequestState) -> None:
    _decide(state)
    state.apply(mapped(ROOT, 1, 10))
    state.ready.suspended[ROOT] = None
    state.tree.branches[ROOT].open = 4000  # its window is full
    assert _batches(state, Pace()) == [10]


def test_siblings_are_not_shared_out_while_their_mapper_is_asked_for_more(
    state: RequestState,
) -> None:
    _decide(state)
    state.apply(mapped(ROOT, 1, 10))
    asked = decide(state, Pace(), room=9, slots=2, window=4000, is_asking=True)
    assert [one.count for one in asked if isinstance(one, RunMappers)] == [10]


def test_siblings_are_not_shared_out_where_their_mapper_is_asked_for_more_first(
    state: RequestState,
) -> None:
    _decide(state)
    state.apply(mapped(ROOT, 1, 10))
    state.ready.suspended[ROOT] = None
    assert [type(one) for one in _decide(state)] == [PullMapper]
    (batch,) = decide(state, Pace(), room=9, slots=2, window=4000, is_asking=True)
    assert isinstance(batch, RunMappers)
    assert batch.count == 10


def test_a_batch_has_at_most_so_many_bytes(state: RequestState) -> None:
    _children(state, 40, BATCH_BYTES // 4)
    assert set(_batches(state, _paced(1000, 0.001))) == {4}


def test_an_item_larger_than_a_batch_goes_alone(state: RequestState) -> None:
    _children(state, 3, BATCH_BYTES + 1)
    assert _batches(state, _paced(1000, 0.001)) == [1, 1, 1]


@given(st.lists(st.integers(1, BATCH_BYTES * 2), min_size=1, max_size=12))
def test_batches_cover_all_siblings_and_keep_to_their_bytes(sizes: list[int]) -> None:
    state = RequestState(PLAN)
    accepted(state)
    _decide(state)
    state.apply(mapped(ROOT, 1, len(sizes)))
    ends = [sum(sizes[: n + 1]) for n in range(len(sizes))]
    state.tree.chunks[1].payload = _items_ending(ends)
    decisions = decide(state, _paced(1000, 0.001), room=NEVER, slots=2, window=4000)
    taken = [(d.first, d.count) for d in decisions if isinstance(d, RunMappers)]
    batches = [sizes[first - 1 : first - 1 + count] for first, count in taken]
    assert [size for batch in batches for size in batch] == sizes
    assert all(len(batch) == 1 or sum(batch) <= BATCH_BYTES for batch in batches)


def _items_ending(ends: list[int]) -> Payload:
    return Payload(len(ends), ends[-1], b"", offsets=pack_offsets(ends))


@pytest.mark.parametrize(
    ("count", "seconds", "batch"),
    [
        (100, 1.0, 100),  # ten milliseconds each
        (1000, 0.0001, CHUNK_PAIRS),
        (5, 0.0, CHUNK_PAIRS),  # too quick to be measured
        (1, 10.0, 1),  # longer than a batch should take
    ],
)
def test_a_batch_is_what_takes_about_its_time(count: int, seconds: float, batch: int) -> None:
    assert _paced(count, seconds).batch("s") == batch


def test_the_pace_of_one_step_says_nothing_about_another() -> None:
    assert _paced(1, 10.0).batch("other") == CHUNK_PAIRS


@given(st.lists(st.tuples(st.integers(1, 1000), st.floats(0, 10)), min_size=1, max_size=20))
def test_a_batch_stays_in_bounds(
    measured: list[tuple[int, float]],
) -> None:
    pace = Pace()
    for count, seconds in measured:
        pace.record("s", count, seconds)
    assert 1 <= pace.batch("s") <= CHUNK_PAIRS


@given(st.floats(1e-5, 1.0))
def test_the_pace_settles_at_batches_of_the_wanted_time(each_s: float) -> None:
    pace = Pace()
    for _ in range(20):
        count = pace.batch("s")
        pace.record("s", count, count * each_s)
    wanted = min(max(1.0, BATCH_S / each_s), CHUNK_PAIRS)
    assert pace.batch("s") == pytest.approx(wanted, abs=1)


def test_the_pace_follows_a_step_that_slows_down_but_not_at_once() -> None:
    pace = _paced(100, 1.0)
    pace.record("s", 100, 10.0)
    assert 10 < pace.batch("s") < 100


def test_work_is_wanted_until_its_mapper_begins_anew_or_is_dropped(state: RequestState) -> None:
    state.apply(mapped(ROOT, 1, 2, digest="a"))
    batch = RunMappers(state.tree.chunks[1], 1, 2)
    pull = PullMapper(ROOT, 1)
    assert chunk_of(state, batch) is state.tree.chunks[1]
    assert chunk_of(state, pull) is state.tree.chunks[ROOT]
    state.apply(retried(ROOT, ROOT))
    assert chunk_of(state, pull) is None
    assert chunk_of(state, batch) is state.tree.chunks[1]
    state.apply(mapped(ROOT, 3, 1, digest="b"))
    assert chunk_of(state, batch) is None


def test_a_reduction_is_wanted_while_its_input_is_complete(state: RequestState) -> None:
    _children(state, 1)
    state.apply(done(1, 1, body=b"x"))
    work = RunReducer(ROOT, 0, 1, 1, ())
    assert chunk_of(state, work) is state.tree.chunks[ROOT]
    state.apply(retried(1, 1))
    assert chunk_of(state, work) is None
    state.apply(done(1, 1, body=b"y"))
    assert chunk_of(state, work) is None
    state.apply(reduced(ROOT, ROOT))
    assert chunk_of(state, work) is None
