from __future__ import annotations

from pathlib import Path

import pytest

from jobx.actors.lifetime import Lifetime
from jobx.actors.messages import RequestKey
from jobx.kv import keys
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import lives, request_entity
from jobx.kv.store import Delete, Put
from jobx.model import Request

KEY = RequestKey("w", "r1")


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def open_request(store: MemoryStore, life: int) -> None:
    request = Request(
        workflow_name="w", request_id="r1", job_name="j", invocation_id="m0", accepted_at=1.0
    )
    store.commit(request_entity.accept_writes(request, "n", None, life))


def test_each_life_has_a_greater_incarnation(store: MemoryStore, tmp_path: Path) -> None:
    first, second = (Lifetime("n", store, tmp_path).incarnation for _ in range(2))
    assert second > first


def test_clock_does_not_go_back_from_life_to_life(store: MemoryStore, tmp_path: Path) -> None:
    before_at = Lifetime("n", store, tmp_path).clock.now_at()
    assert Lifetime("n", store, tmp_path).clock.now_at() >= before_at


def test_life_that_was_not_ended_well_is_lost_and_told(store: MemoryStore, tmp_path: Path) -> None:
    assert Lifetime("n", store, tmp_path).runs() is None
    later = Lifetime("n", store, tmp_path)
    told = later.runs()
    assert later.was_lost
    assert told is not None and told.kind == "node.back"


def test_life_that_ended_well_is_not_lost(store: MemoryStore, tmp_path: Path) -> None:
    life = Lifetime("n", store, tmp_path)
    life.runs()
    life.ended_well()
    assert not Lifetime("n", store, tmp_path).was_lost


@pytest.mark.parametrize(("is_lost", "deaths"), [(True, 1), (False, 0)])
def test_open_request_is_charged_with_a_death_alone(
    store: MemoryStore, tmp_path: Path, is_lost: bool, deaths: int
) -> None:
    life = Lifetime("n", store, tmp_path)
    life.runs()
    open_request(store, life.incarnation)
    if not is_lost:
        life.ended_well()
    (waiting,) = Lifetime("n", store, tmp_path).take_up(limit=5)
    assert (waiting.key, waiting.deaths) == (KEY, deaths)


def test_clock_is_noted_when_it_is_far_from_what_was_noted(
    store: MemoryStore, tmp_path: Path
) -> None:
    life = Lifetime("n", store, tmp_path)
    lives.begin(store, "n", lives.Life(incarnation=1))
    life.note_clock()
    assert lives.last(store, "n") == lives.Life(incarnation=1)  # what it noted itself is near


def test_others_are_told_that_a_node_was_stopped_until_it_starts_again(
    store: MemoryStore, tmp_path: Path
) -> None:
    life = Lifetime("n", store, tmp_path, ("gpu",))
    assert not lives.last(store, "n").is_over
    life.tell_others()
    assert lives.last(store, "n").is_over
    assert lives.last(store, "n").capabilities == ("gpu",)
    Lifetime("n", store, tmp_path)
    assert not lives.last(store, "n").is_over


@pytest.mark.parametrize("later", [1, 2, 3])
@pytest.mark.parametrize("is_told", [True, False])
def test_later_lives_tell_others_whether_one_before_them_was_stopped(
    store: MemoryStore, tmp_path: Path, *, is_told: bool, later: int
) -> None:
    life = Lifetime("n", store, tmp_path)
    if is_told:
        life.tell_others()
    for _ in range(later):
        Lifetime("n", store, tmp_path)
    assert lives.last(store, "n").has_lost(life.incarnation, is_there=True) is not is_told


@pytest.mark.parametrize("is_told", [True, False])
def test_nodes_of_earlier_versions_are_told_whether_the_life_before_was_stopped(
    store: MemoryStore, tmp_path: Path, *, is_told: bool
) -> None:
    life = Lifetime("n", store, tmp_path)
    if is_told:
        life.tell_others()
    Lifetime("n", store, tmp_path)
    assert lives.last(store, "n").stopped == (life.incarnation if is_told else 0)


def test_a_death_in_an_earlier_version_is_remembered(store: MemoryStore, tmp_path: Path) -> None:
    store.commit([Put(keys.life("n"), b'{"incarnation":7,"form":1,"stopped":6}')])
    Lifetime("n", store, tmp_path)
    assert lives.last(store, "n").died == (7,)


def test_only_the_last_deaths_are_remembered(store: MemoryStore, tmp_path: Path) -> None:
    made = [Lifetime("n", store, tmp_path).incarnation for _ in range(lives.MOST_DEATHS + 3)]
    assert lives.last(store, "n").died == tuple(made[2:-1])


def test_a_life_that_others_removed_is_noted_again(store: MemoryStore, tmp_path: Path) -> None:
    life = Lifetime("n", store, tmp_path)
    store.commit([Delete(keys.life("n"))])
    life.note_clock()
    assert store.get(keys.life("n")) is None
    life.note_again()
    life.note_clock()
    assert lives.last(store, "n").incarnation == life.incarnation
