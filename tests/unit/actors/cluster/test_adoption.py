from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from jobx import entity_json, model
from jobx.actors.cluster.adoption import AGAIN_S, DISCOVER_S, LOOK_S, MOST, Adoption, Inherited
from jobx.actors.cluster.heirs import PATIENCE_S, Heirs
from jobx.actors.cluster.members import NodeRecord, encode
from jobx.actors.messages import RequestKey, Waiting
from jobx.actors.request.events import Accepted, to_record
from jobx.errors import StoreUnavailable
from jobx.kv import keys
from jobx.kv.leases import Held
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import deliveries, event_log, kept_requests, lives
from jobx.kv.requests.lives import Life, Mark
from jobx.kv.store import Delete, Put
from jobx.payload import Payload
from tests.support.results import finished

RECORD = NodeRecord(capabilities=("general",), slots=2, is_heir=True)
LIFE = Life(incarnation=7, capabilities=("general",))
KEY = RequestKey("w", "r")


class Survivor:
    """Node b, which sees others come and go on virtual time; node a is lost."""

    def __init__(self, record: NodeRecord = RECORD) -> None:
        self.store = MemoryStore()
        self.now = 100.0
        self.has_settled = True
        self.adoption = Adoption(
            "b",
            record,
            self.store,
            lambda: self.has_settled,
            death_limit=5,
            now=lambda: self.now,
        )
        self.lives("a", LIFE)

    def lives(self, node_id: str, life: Life) -> None:
        lives.begin(self.store, node_id, life)

    def opens(self, node_id: str, *found: RequestKey, life: int = 7) -> None:
        mark = lives.encode(Mark(life=life, events=1))
        self.store.commit([Put(keys.opened(node_id, *key), mark) for key in found])

    def sees(self, *node_ids: str, record: NodeRecord = RECORD) -> bool:
        held = Held("host", "t", encode(record))
        return self.adoption.saw({keys.node(name): held for name in node_ids}, keys.node(""))

    def looks(self, after_s: float = 0.0) -> Inherited:
        self.now += after_s
        return self.adoption.look()


@pytest.fixture
def b() -> Survivor:
    made = Survivor()
    made.opens("a", KEY)
    return made


def adopted(found: Inherited) -> list[RequestKey]:
    return [waiting.key for waiting in found.requests]


def test_requests_of_a_node_that_has_left_are_adopted_with_its_death(b: Survivor) -> None:
    b.sees("a", "b")
    assert b.looks() == Inherited()
    assert b.sees("b")
    assert b.looks() == Inherited((Waiting(KEY, deaths=1, node_id="a"),), ())


def test_a_node_that_was_stopped_has_not_died(b: Survivor) -> None:
    b.lives("a", replace(LIFE, is_over=True))
    b.sees("b")
    assert b.looks().requests == (Waiting(KEY, node_id="a"),)


@pytest.mark.parametrize(
    ("life", "is_there", "deaths"),
    [
        pytest.param(Life(incarnation=9), True, 1, id="it may read on"),
        pytest.param(Life(incarnation=9, is_over=True), False, 1, id="it was stopped"),
        pytest.param(Life(incarnation=9), False, 2, id="it died"),
        pytest.param(Life(incarnation=10, died=(9,)), True, 2, id="it died and is back"),
        pytest.param(Life(incarnation=11, died=(9, 10)), True, 2, id="it died and died again"),
        pytest.param(Life(incarnation=10, died=()), True, 1, id="it was stopped and is back"),
        pytest.param(Life(incarnation=11, died=(10,)), True, 1, id="it died in another life"),
        pytest.param(Life(), False, 1, id="it is long gone"),
        pytest.param(Life(incarnation=10), True, 2, id="it is back in an earlier version"),
        pytest.param(
            Life(incarnation=10, stopped=9), True, 1, id="it was stopped before an earlier version"
        ),
    ],
)
def test_the_death_of_who_read_a_log_to_adopt_it_counts(
    b: Survivor, life: Life, is_there: bool, deaths: int
) -> None:
    read = Mark(life=9, deaths=1, events=1, reader="c")
    b.store.commit([Put(keys.opened("a", *KEY), lives.encode(read))])
    b.lives("c", life)
    b.sees("b", *["c"] * is_there)
    (waiting,) = *b.looks().requests, *b.looks(PATIENCE_S).requests
    assert waiting == Waiting(KEY, deaths=deaths, node_id="a")


@pytest.mark.parametrize("mark", [Mark(life=7, events=1), Mark(deaths=1, events=1)])
def test_no_death_counts_of_a_node_whose_record_was_removed(b: Survivor, mark: Mark) -> None:
    b.store.commit([Delete(keys.life("a")), Put(keys.opened("a", *KEY), lives.encode(mark))])
    b.sees("b")
    assert b.looks().requests == (Waiting(KEY, deaths=mark.deaths, node_id="a"),)


MEMBER = replace(RECORD, nsqd="host:4150")


def died(b: Survivor, *others: str, record: NodeRecord = MEMBER) -> tuple[str, ...]:
    """Return of whose death b tells when a leaves it and others."""
    b.sees("a", "b", *others, record=record)
    b.sees("b", *others, record=record)
    return b.looks().died


def test_the_first_survivor_tells_of_a_death_once(b: Survivor) -> None:
    assert died(b, "c") == ("a",)
    assert b.looks(100.0).died == ()


def test_nobody_tells_of_a_node_that_is_back(b: Survivor) -> None:
    b.has_settled = False
    assert died(b) == ()
    b.has_settled = True
    b.sees("a", "b", record=MEMBER)
    assert b.looks().died == ()


def test_others_leave_it_to_the_first_survivor(b: Survivor) -> None:
    assert died(b, "aa") == ()


def test_nobody_tells_of_a_node_that_was_stopped(b: Survivor) -> None:
    b.lives("a", replace(LIFE, is_over=True))
    assert died(b) == ()


def test_a_command_that_gives_up_the_lease_of_a_node_has_not_died(b: Survivor) -> None:
    assert died(b, record=RECORD) == ()


def test_a_death_is_told_later_when_the_store_was_away(
    b: Survivor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> Life:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(lives, "last", away)
        assert died(b) == ()
    assert b.looks(LOOK_S).died == ("a",)


def test_requests_of_a_node_that_was_never_seen_are_found(b: Survivor) -> None:
    b.sees("b")
    assert adopted(b.looks()) == [KEY]


def test_what_is_left_late_is_found_in_time(b: Survivor) -> None:
    b.sees("b")
    b.looks()
    b.opens("z", RequestKey("w", "late"))
    assert adopted(b.looks(LOOK_S)) == []
    assert RequestKey("w", "late") in adopted(b.looks(DISCOVER_S))


def test_nothing_is_adopted_before_it_is_known_who_is_there(b: Survivor) -> None:
    assert b.looks() == Inherited()
    assert not b.adoption.is_lost("a")


def test_nothing_is_adopted_before_the_own_lease_has_settled(b: Survivor) -> None:
    b.has_settled = False
    b.sees("b")
    assert b.looks(100.0) == Inherited()
    b.has_settled = True
    assert adopted(b.looks()) == [KEY]


def test_nothing_is_adopted_of_a_node_that_is_back(b: Survivor) -> None:
    b.sees("a", "b")
    b.sees("b")
    assert b.adoption.is_lost("a")
    b.sees("a", "b")
    assert not b.adoption.is_lost("a")
    assert b.looks(100.0) == Inherited()


def test_its_own_requests_are_never_adopted(b: Survivor) -> None:
    b.opens("b", RequestKey("w", "own"))
    b.sees()
    assert adopted(b.looks(100.0)) == [KEY]


def test_a_request_is_handed_out_once_and_again_only_after_a_while(b: Survivor) -> None:
    b.sees("b")
    found = [adopted(b.looks(wait_s)) for wait_s in (0.0, 1.0, AGAIN_S[0], AGAIN_S[0])]
    assert found == [[KEY], [], [KEY], []]
    assert adopted(b.looks(AGAIN_S[0])) == [KEY]


def test_it_looks_often_only_while_something_is_left(b: Survivor) -> None:
    b.sees("b")
    b.looks()
    assert b.adoption.pause_s == LOOK_S
    b.store.commit([Delete(keys.opened("a", *KEY))])
    b.looks()
    assert b.adoption.pause_s == DISCOVER_S


def test_survivors_share_what_was_left_and_wait_for_each_other() -> None:
    b, names = Survivor(), [RequestKey("w", f"r{number}") for number in range(50)]
    b.opens("a", *names)
    b.sees("b", "c")
    heirs = {"b": RECORD, "c": RECORD}
    mine = [key for key in names if Heirs(heirs, ()).order(key)[0] == "b"]
    assert set(adopted(b.looks())) == {*mine}
    assert 0 < len(mine) < len(names)
    assert set(adopted(b.looks(PATIENCE_S))) == {*names} - {*mine}


def test_only_so_many_are_on_their_way_at_the_same_time() -> None:
    b = Survivor()
    names = [RequestKey("w", f"r{number:05}") for number in range(MOST + 10)]
    b.opens("a", *names)
    b.sees("b")
    assert adopted(b.looks()) == names[:MOST]
    assert adopted(b.looks(1.0)) == []
    b.store.commit([Delete(keys.opened("a", *key)) for key in names[:MOST]])
    assert adopted(b.looks(1.0)) == names[MOST:]


def test_what_others_share_waits_while_there_is_new_work_of_the_own_share() -> None:
    b, names = Survivor(), [RequestKey("w", f"r{number}") for number in range(50)]
    heirs = {"b": RECORD, "c": RECORD}
    mine = [key for key in names if Heirs(heirs, ()).order(key)[0] == "b"]
    other = next(key for key in names if key not in mine)
    b.opens("a", other, mine[0])
    b.sees("b", "c")
    assert adopted(b.looks()) == [mine[0]]
    b.opens("a", mine[1])
    assert mine[1] in adopted(b.looks(PATIENCE_S - 1.0))
    assert other not in adopted(b.looks(PATIENCE_S - 1.0))
    assert other in adopted(b.looks(1.0))


def requires(b: Survivor, *words: str, may_wait: bool = False) -> None:
    """Have the workflow of the request require capabilities."""
    plan = model.Plan(
        steps={
            word: model.PlanStep(
                mapper=model.HandlerRef(handler_name="m", version="m", required_capability=word),
                reducer=model.HandlerRef(handler_name="r", version="r"),
            )
            for word in words
        }
    )
    accepted = Accepted(1.0, "j", "s", "p", Payload(0, 0, b""), 1.0, may_wait=may_wait)
    event = event_log.event_write(*KEY, 0, to_record(accepted))
    b.store.commit([event, Put(keys.plan("w", "p"), entity_json.encode(plan))])


@pytest.mark.parametrize(
    ("lost", "required", "is_adopted"),
    [
        pytest.param(("general", "gpu"), ("gpu",), False, id="a step requires what is not here"),
        pytest.param(("general", "gpu"), ("general",), True, id="no step requires it"),
        pytest.param(("general",), ("gpu",), True, id="the lost node did not offer it either"),
        pytest.param(None, ("gpu",), False, id="what the lost node offered is not known"),
        pytest.param(None, ("general",), True, id="it is not known and does not matter"),
    ],
)
def test_what_the_workflow_requires_counts_as_far_as_the_lost_node_offered_it(
    b: Survivor, lost: tuple[str, ...] | None, required: Sequence[str], is_adopted: bool
) -> None:
    b.lives("a", replace(LIFE, capabilities=lost))
    requires(b, *required)
    b.sees("b")
    assert adopted(b.looks()) == [KEY] * is_adopted


def test_what_another_survivor_offers_is_not_missing(b: Survivor) -> None:
    b.lives("a", replace(LIFE, capabilities=("gpu",)))
    requires(b, "gpu")
    able, runs_others = replace(RECORD, capabilities=("gpu",)), ("x",)
    b.sees("b", "c", record=replace(able, workflows=runs_others))
    assert adopted(b.looks(100.0)) == []
    b.sees("b", "c", record=able)
    assert adopted(b.looks(100.0)) == [KEY]


def test_a_request_that_may_wait_is_adopted_to_wait(b: Survivor) -> None:
    b.lives("a", replace(LIFE, capabilities=("gpu",)))
    requires(b, "gpu", may_wait=True)
    b.sees("b")
    assert adopted(b.looks()) == [KEY]


def test_what_nobody_may_adopt_is_read_more_and_more_rarely(
    b: Survivor, monkeypatch: pytest.MonkeyPatch
) -> None:
    b.lives("a", replace(LIFE, capabilities=("gpu",)))
    requires(b, "gpu")
    b.sees("b")
    reads, accepted_of = list[object](), kept_requests.accepted_of
    monkeypatch.setattr(
        kept_requests, "accepted_of", lambda *names: reads.append(names) or accepted_of(*names)
    )
    found = [adopted(b.looks(LOOK_S)) for _ in range(100)]
    assert found == [[]] * 100
    assert len(reads) == 3
    assert b.adoption.pause_s == DISCOVER_S


def test_requests_that_nobody_may_adopt_keep_no_others_waiting(
    b: Survivor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobx.actors.cluster.adoption.MOST", 1)
    b.lives("a", replace(LIFE, capabilities=("gpu",)))
    requires(b, "gpu")
    able = RequestKey("w", "s")
    b.opens("a", able)
    b.sees("b")
    assert adopted(b.looks()) == [able]


def test_deliveries_of_workflows_of_others_keep_no_others_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("jobx.actors.cluster.adoption.MOST", 1)
    request = finished(model.Destination(writer="http", place="p"), [("a", 1)])
    b = Survivor(replace(RECORD, workflows=(request.workflow_name,)))
    b.store.commit(deliveries.begin_writes(request, "a"))
    b.store.commit([Put(keys.undelivered("a", "0", "first"), b"")])
    b.sees("b")
    assert len(b.looks().deliveries) == 1


def test_requests_of_workflows_of_others_stay() -> None:
    b = Survivor(replace(RECORD, workflows=("x",)))
    b.opens("a", KEY, RequestKey("x", "r"))
    b.sees("b")
    assert adopted(b.looks(100.0)) == [RequestKey("x", "r")]


def test_deliveries_move_and_are_told() -> None:
    b, request = Survivor(), finished(model.Destination(writer="http", place="p"), [("a", 1)])
    b.store.commit(deliveries.begin_writes(request, "a"))
    b.sees("b")
    key = RequestKey(request.workflow_name, request.request_id)
    assert b.looks() == Inherited((), (key,))
    assert deliveries.undelivered(b.store, "b", 10) == [key]
    assert b.looks(100.0) == Inherited()


def test_one_node_whose_record_is_damaged_keeps_no_other_from_being_adopted(
    b: Survivor, caplog: pytest.LogCaptureFixture
) -> None:
    b.opens("0", RequestKey("w", "x"))
    b.store.commit([Put(keys.life("0"), b"rubbish")])
    b.sees("b")
    with caplog.at_level(logging.WARNING):
        assert adopted(b.looks()) == [KEY]
    assert "what lost node 0 left is not adopted yet" in caplog.text


def test_a_store_that_does_not_answer_hands_nothing_out(
    b: Survivor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise StoreUnavailable("gone")

    b.sees("b")
    with monkeypatch.context() as broken:
        broken.setattr("jobx.actors.cluster.adoption.has_progressed", refuse)
        assert b.looks() == Inherited()
    assert adopted(b.looks()) == [KEY]
