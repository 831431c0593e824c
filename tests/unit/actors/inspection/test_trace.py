from __future__ import annotations

import array
import datetime
from collections.abc import Iterator

import msgspec
import pytest
from msgspec import structs

from jobx import entity_json, model, values
from jobx.actors.inspection import trace, trace_log
from jobx.actors.request.events import (
    Accepted,
    Adopted,
    Done,
    Event,
    Failed,
    Mapped,
    Retried,
    to_record,
)
from jobx.actors.request.spans import Span
from jobx.errors import InvalidInput, NotFound
from jobx.kv import keys
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import event_log, request_entity
from jobx.kv.store import Delete, Put
from jobx.model import Failure, HandlerRef, Plan, PlanStep
from jobx.payload import Payload, pack_offsets
from jobx.views import TraceNode


def _ref(name: str) -> HandlerRef:
    return HandlerRef(handler_name=name, version=name)


PLAN = Plan(
    steps={
        "split": PlanStep(mapper=_ref("split_map"), reducer=_ref("split_sum")),
        "count": PlanStep(
            mapper=_ref("count_map"), combiner=_ref("count_combine"), reducer=_ref("count_sum")
        ),
    }
)
REQUEST = model.Request(
    workflow_name="flow", request_id="r1", job_name="j", invocation_id="m0", accepted_at=1.0
)
NEW_YEAR = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
WRONG = Failure(kind="author", type="ValueError", message="wrong")


def _items(*given: object) -> Payload:
    packed = [values.pack(item) for item in given]
    ends = [sum(map(len, packed[: n + 1])) for n in range(len(packed))]
    return Payload(len(given), ends[-1], b"".join(packed), offsets=pack_offsets(ends))


ACCEPTED = Accepted(1.0, "j", "split", "digest", _items([["text", "a b c"]]), 60.0)
MAPPED = Mapped(2.0, 0, 0, "count", 1, 3, _items([0, "a"], [1, "b"], [2, "c"]), "d")
SPLIT = Done(2.0, "map", 0, 0, 1, "mapped", durations=array.array("I", [5000]).tobytes())
COUNTED = Done(
    3.0,
    "map",
    1,
    1,
    3,
    "reduced",
    durations=array.array("I", [10, 20, 30, 1, 2, 3, 100, 200, 300]).tobytes(),
    notes={2: {"output": "printed", "session": {"seen": NEW_YEAR}}},
)
SUMMED = Done(4.0, "reduce", 0, 0, 1, "reduced", durations=array.array("I", [7000]).tobytes())
LIMIT = 1000
WHOLE = (ACCEPTED, MAPPED, SPLIT, COUNTED, SUMMED)


def _store(*events: Event, state: str = "running") -> MemoryStore:
    store = MemoryStore()
    request = msgspec.structs.replace(REQUEST, state=state, is_done=state != "running")
    writes = [
        *request_entity.accept_writes(request, "node"),
        Put(keys.plan("flow", "digest"), entity_json.encode(PLAN)),
        *(
            event_log.event_write("flow", "r1", n, to_record(event))
            for n, event in enumerate(events)
        ),
    ]
    store.commit(writes)
    return store


def _root(store: MemoryStore, limit: int = LIMIT) -> TraceNode:
    root = trace.read(store, "flow", "r1", limit).root
    assert root is not None
    return root


def _all(node: TraceNode) -> Iterator[TraceNode]:
    yield node
    for child in node.children:
        yield from _all(child)


def _states(root: TraceNode) -> dict[str, str]:
    return {node.invocation_id: node.state for node in _all(root)}


def _nodes(*events: Event) -> dict[str, str | None]:
    root = _root(_store(*events, state="succeeded"))
    return {node.invocation_id: node.node_id for node in _all(root)}


def test_what_says_no_node_ran_where_its_request_was_coordinated() -> None:
    accepted = structs.replace(ACCEPTED, node="a")
    found = _nodes(accepted, MAPPED, SPLIT, structs.replace(COUNTED, node="b"), SUMMED)
    assert found == dict.fromkeys(("m0", "r0"), "a") | dict.fromkeys(
        (f"{kind}{vertex}" for kind in "mcr" for vertex in (1, 2, 3)), "b"
    )


def test_what_follows_an_adoption_ran_on_its_node() -> None:
    accepted = structs.replace(ACCEPTED, node="a")
    found = _nodes(accepted, MAPPED, SPLIT, COUNTED, Adopted(4.0, "b", 1), SUMMED)
    assert (found["m0"], found["c1"], found["r0"]) == ("a", "a", "b")


def test_nobody_knows_where_the_invocations_of_1_0_0_ran() -> None:
    assert set(_nodes(*WHOLE).values()) == {None}


def test_what_has_not_ended_ran_nowhere_yet() -> None:
    root = _root(_store(structs.replace(ACCEPTED, node="a"), MAPPED))
    assert {node.node_id for node in _all(root)} == {None}


def test_each_invocation_says_when_it_could_begin_when_it_began_and_in_which_process() -> None:
    counted = structs.replace(COUNTED, at=103.0, span=Span(7, 3_000_666, 3_000_666))
    summed = structs.replace(SUMMED, at=104.0, span=Span(8, 500_000, 500_000))
    nodes = {
        n.invocation_id: n for n in _all(_root(_store(ACCEPTED, MAPPED, SPLIT, counted, summed)))
    }
    assert [nodes[name].executor for name in ("m0", "m1", "c3", "r3", "r0")] == [None, 7, 7, 7, 8]
    assert [nodes[name].queued_at for name in ("m0", "m1", "c1")] == [1.0, 2.0, None]
    begun = [round(nodes[name].started_at or 0.0, 2) for name in ("m0", "m1", "m2", "m3", "r0")]
    assert begun == [0.0, 100.0, 101.0, 102.0, 103.5]
    assert (nodes["r2"].started_at or 0.0) - (nodes["m2"].started_at or 0.0) == pytest.approx(
        22e-6, abs=1e-6
    )


def test_a_retried_mapper_is_queued_again_after_its_delay() -> None:
    retried = Retried(5.0, "map", 1, 2, 1, 2, 0.5, WRONG)
    assert _root(_store(*WHOLE[:3], retried)).children[1].queued_at == 5.5


def test_a_trace_is_the_tree_of_invocations() -> None:
    root = _root(_store(*WHOLE, state="succeeded"))
    assert [node.invocation_id for node in root.children] == ["m1", "m2", "m3", "r0"]
    assert [node.invocation_id for node in root.children[0].children] == ["c1", "r1"]
    assert set(_states(root).values()) == {"succeeded"}
    assert len(_states(root)) == 11


def test_each_invocation_names_its_step_and_handler() -> None:
    nodes = {node.invocation_id: node for node in _all(_root(_store(*WHOLE)))}
    named = {name: (node.kind, node.step_name, node.handler_name) for name, node in nodes.items()}
    assert named["m0"] == ("map", "split", "split_map")
    assert named["r0"] == ("reduce", "split", "split_sum")
    assert named["c2"] == ("combine", "count", "count_combine")


def test_each_invocation_tells_how_long_it_took() -> None:
    nodes = {node.invocation_id: node for node in _all(_root(_store(*WHOLE)))}
    took = {name: node.duration_s for name, node in nodes.items()}
    assert (took["m0"], took["r0"]) == (0.005, 0.007)
    assert (took["m2"], took["c2"], took["r2"]) == (20e-6, 2e-6, 200e-6)


def test_a_mapper_shows_its_input_its_output_and_its_session() -> None:
    root = _root(_store(*WHOLE))
    assert root.input == "[['text', 'a b c']]"
    shown = root.children[1]
    assert (shown.input, shown.output) == ("[1, 'b']", "printed")
    assert shown.session == {"seen": {"$timestamp": "2024-01-01T00:00:00+00:00"}}


def test_a_long_input_is_shortened() -> None:
    long = Accepted(1.0, "j", "split", "digest", _items("x" * 1000), 60.0)
    shown = _root(_store(long)).input
    assert shown is not None
    assert len(shown) == trace.INPUT_CHARACTERS
    assert shown.endswith("...")


def test_an_input_in_a_blob_is_not_shown() -> None:
    payload = Payload(1, 10, None, "b", offsets=pack_offsets([10]))
    assert _root(_store(Accepted(1.0, "j", "split", "digest", payload, 60.0))).input is None


@pytest.mark.parametrize(
    ("count", "states"),
    [
        (1, {"m0": "pending", "r0": "pending"}),
        (2, {"m0": "running", "m1": "pending", "r1": "pending", "r0": "pending"}),
        (3, {"m0": "succeeded", "m1": "pending", "r1": "pending", "r0": "pending"}),
        (4, {"m0": "succeeded", "m1": "succeeded", "c1": "succeeded", "r0": "pending"}),
    ],
)
def test_what_has_not_come_yet_is_running_or_pending(count: int, states: dict[str, str]) -> None:
    found = _states(_root(_store(*WHOLE[:count])))
    assert states.items() <= found.items()


def test_what_never_came_is_cancelled_once_the_request_has_ended() -> None:
    found = _states(_root(_store(*WHOLE[:3], state="cancelled")))
    assert (found["m0"], found["m1"], found["r0"]) == ("succeeded", "cancelled", "cancelled")


def test_a_failed_invocation_shows_its_failure_and_its_attempt() -> None:
    failed = Failed(5.0, "map", 1, 2, 3, WRONG, {2: {"output": "last words"}})
    root = _root(_store(*WHOLE[:3], failed, state="failed"))
    shown = root.children[1]
    assert (shown.state, shown.failure, shown.attempt) == ("failed", WRONG, 3)
    assert shown.output == "last words"
    assert _states(root)["m1"] == "cancelled"


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_what_failed_is_shown_beyond_the_limit_with_all_above_it(limit: int) -> None:
    failed = Failed(5.0, "map", 1, 3, 1, WRONG)
    root = _root(_store(*WHOLE[:3], failed, state="failed"), limit)
    assert _states(root)["m3"] == "failed"
    assert root.hidden == 3 - limit


def test_children_beyond_the_limit_are_counted() -> None:
    root = _root(_store(*WHOLE), limit=2)
    assert [node.invocation_id for node in root.children] == ["m1", "r0"]
    assert root.hidden == 2


def test_a_mapper_that_is_tried_again_is_pending_and_shows_what_was_wrong() -> None:
    retried = Retried(5.0, "map", 1, 2, 1, 2, 0.5, WRONG)
    shown = _root(_store(*WHOLE[:3], retried)).children[1]
    assert (shown.state, shown.failure, shown.attempt) == ("pending", WRONG, 2)


def test_a_mapper_that_went_well_in_the_end_shows_no_failure() -> None:
    retried = Retried(5.0, "map", 1, 2, 1, 2, 0.5, WRONG)
    shown = _root(_store(*WHOLE[:3], retried, *WHOLE[3:], state="succeeded")).children[1]
    assert (shown.state, shown.failure, shown.attempt) == ("succeeded", None, 2)


def test_a_reducer_that_went_well_in_the_end_shows_no_failure() -> None:
    retried = Retried(5.0, "reduce", 0, 0, 1, 2, 0.5, WRONG)
    shown = _root(_store(*WHOLE[:4], retried, SUMMED, state="succeeded")).children[-1]
    assert (shown.state, shown.failure) == ("succeeded", None)


def test_a_reducer_that_failed_for_good_shows_its_failure() -> None:
    failed = Failed(5.0, "reduce", 0, 0, 2, WRONG)
    shown = _root(_store(*WHOLE[:4], failed, state="failed")).children[-1]
    assert (shown.state, shown.failure) == ("failed", WRONG)


def test_partitions_of_a_reducer_are_shown_as_one() -> None:
    parts = [
        Done(4.0, "reduce", 0, 0, 1, "reduced", (), p, array.array("I", [1000]).tobytes())
        for p in range(8)
    ]
    shown = _root(_store(*WHOLE[:4], *parts)).children[-1]
    assert shown.duration_s == 0.008


def test_children_that_are_yielded_again_are_shown_once() -> None:
    retried = Retried(5.0, "map", 0, 0, 1, 2, 0.0, WRONG)
    root = _root(_store(ACCEPTED, MAPPED, retried, MAPPED, SPLIT))
    assert [node.invocation_id for node in root.children] == ["m1", "m2", "m3", "r0"]
    assert root.attempt == 2


def test_a_tree_deeper_than_the_stack_can_be_shown() -> None:
    chain = [
        Mapped(2.0, depth, depth, "split", depth + 1, 1, _items([0, 0]), "d")
        for depth in range(1500)
    ]
    node = _root(_store(ACCEPTED, *chain), limit=2000)
    for depth in range(1500):
        assert node.invocation_id == f"m{depth}"
        node = node.children[0]


def test_what_is_not_shown_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, known_part = [], trace.events.known_part
    monkeypatch.setattr(
        trace.events, "known_part", lambda record: (seen.append(record), known_part(record))[1]
    )
    _root(_store(*WHOLE), limit=1)
    assert [(one["event"], one.get("kind")) for one in seen] == [
        ("accepted", None), ("mapped", None), ("done", "map"), ("done", "reduce"),
    ]  # fmt: skip
    assert [one.get("first") for one in seen[2:]] == [0, 0]


def test_a_request_without_events_has_no_tree() -> None:
    assert trace.read(_store(), "flow", "r1", LIMIT).root is None


def test_a_request_whose_plan_is_gone_has_no_tree() -> None:
    store = _store(*WHOLE)
    store.commit([Delete(keys.plan("flow", "digest"))])
    assert trace.read(store, "flow", "r1", LIMIT).root is None


@pytest.mark.parametrize("wanted", ["m0", "r0", "m1", "c2", "r3"])
def test_one_invocation_is_what_the_tree_shows_of_it(wanted: str) -> None:
    store = _store(*WHOLE)
    nodes = {node.invocation_id: node for node in _all(_root(store))}
    alone = trace.invocation(store, "flow", "r1", wanted)
    assert alone == msgspec.structs.replace(nodes[wanted], children=[], hidden=0)


@pytest.mark.parametrize("wanted", ["", "m", "x1", "m-1", "m1.5", "1", "mm1"])
def test_what_is_no_invocation_id_is_refused(wanted: str) -> None:
    with pytest.raises(InvalidInput, match="invocation"):
        trace.invocation(_store(*WHOLE), "flow", "r1", wanted)


@pytest.mark.parametrize("wanted", ["m4", "c0", "r99"])
def test_an_invocation_that_is_not_there_is_not_found(wanted: str) -> None:
    with pytest.raises(NotFound, match=f"flow/r1/{wanted}"):
        trace.invocation(_store(*WHOLE), "flow", "r1", wanted)


def test_an_invocation_of_no_log_is_not_found() -> None:
    with pytest.raises(NotFound):
        trace.invocation(_store(), "flow", "r1", "m0")


def test_a_request_that_is_not_there_is_not_found() -> None:
    with pytest.raises(NotFound):
        trace.read(MemoryStore(), "flow", "r1", LIMIT)
    with pytest.raises(NotFound):
        trace.invocation(MemoryStore(), "flow", "r1", "m0")


def test_each_kind_of_invocation_shows_its_own_output() -> None:
    notes = {"output": "a", "combiner_output": "b", "reducer_output": "c"}
    counted = structs.replace(COUNTED, notes={2: notes})
    nodes = {n.invocation_id: n for n in _all(_root(_store(ACCEPTED, MAPPED, SPLIT, counted)))}
    assert [nodes[name].output for name in ("m2", "c2", "r2", "m1")] == ["a", "b", "c", None]


def test_a_reducer_shows_the_output_of_its_partitions_in_their_order() -> None:
    parts = [
        structs.replace(SUMMED, partition=number, notes={0: {"output": text}})
        for number, text in ((1, "later"), (0, "first "))
    ]
    split = structs.replace(SPLIT, notes={0: {"output": "mapped"}})
    store = _store(ACCEPTED, MAPPED, split, COUNTED, *parts)
    found = [trace.invocation(store, "flow", "r1", name).output for name in ("m0", "r0")]
    assert found == ["mapped", "first later"]


def test_a_running_request_is_counted_from_its_log() -> None:
    counts = trace.read(
        _store(ACCEPTED, MAPPED, SPLIT, COUNTED), "flow", "r1", LIMIT
    ).request.counts
    assert (counts.mapped, counts.finished, counts.invocations) == (4, 3, 10)


@pytest.mark.parametrize(
    ("more", "state"),
    [
        ((), "pending"),
        ((MAPPED,), "running"),
        ((MAPPED, Retried(2.5, "map", 0, 0, 1, 2, 1.0, WRONG)), "pending"),
        ((MAPPED, Adopted(2.5, "node", 2)), "pending"),
        ((MAPPED, SPLIT), "succeeded"),
    ],
)
def test_a_mapper_is_running_once_its_attempt_has_mapped_on(
    more: tuple[Event, ...], state: str
) -> None:
    assert _states(_root(_store(ACCEPTED, *more)))["m0"] == state


def test_output_beyond_what_a_trace_may_hold_is_had_by_invocation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted = structs.replace(COUNTED, notes={1: {"output": "a" * 90}, 2: {"output": "b" * 90}})
    store = _store(ACCEPTED, MAPPED, SPLIT, counted)
    monkeypatch.setattr(trace_log, "TEXT_BYTES", 150)
    nodes = {n.invocation_id: n.output for n in _all(_root(store))}
    assert (nodes["m1"], nodes["m2"]) == ("a" * 90, trace_log.LEFT_OUT)
    assert trace.invocation(store, "flow", "r1", "m2").output == "b" * 90
