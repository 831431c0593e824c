from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from jobx.actors import record_sweep
from jobx.actors.record_sweep import LEFT_S, RecordSweep
from jobx.errors import EntryDamaged, StoreFull
from jobx.kv import keys, node_calls
from jobx.kv.entities.entities import Entities
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import indexing, lives
from jobx.kv.requests.indexing import Progress
from jobx.kv.requests.lives import FORM, Life
from jobx.kv.store import Chain, CommitOutcome, Entry, Put
from jobx.model import Workflow


class Sweeping:
    """A store with nodes and workflows, and the sweep of node ``me``."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.entities = Entities(self.store)
        self.now_at = 1000.0
        self.is_chosen = True
        self.sweeper = self.another()

    def another(self, ahead_s: float = 0.0) -> RecordSweep:
        """Return the sweep of another node, with a clock that may be ahead."""
        return RecordSweep(self.store, "me", lambda: self.is_chosen, lambda: self.now_at + ahead_s)

    def create(self, name: str) -> None:
        self.entities.create(Workflow(workflow_name=name, description=""))

    def delete(self, name: str) -> None:
        self.entities.delete(Workflow, name)

    def live(self, node_id: str, *, is_there: bool = False, form: int = FORM) -> None:
        lives.begin(self.store, node_id, Life(incarnation=1, form=form))
        if is_there:
            self.store.lease(keys.node(node_id), node_id, 1e6).acquire()

    def weeks(self, count: int = 1) -> None:
        """Sweep, let the time of so many stays pass, and sweep twice."""
        for _ in range(count):
            self.sweeper.sweep()
            self.now_at += LEFT_S
        for _ in range(2):
            self.sweeper.sweep()

    def names(self, prefix: str) -> list[str]:
        return [one.key.removeprefix(prefix) for one in self.store.range(prefix)]

    @property
    def lives(self) -> list[str]:
        return self.names(keys.life(""))


@pytest.fixture
def sweeping() -> Sweeping:
    return Sweeping()


def test_only_the_tokens_of_deleted_workflows_go(sweeping: Sweeping) -> None:
    for name in "abc":
        sweeping.create(name)
    sweeping.delete("a")
    sweeping.delete("c")
    assert sweeping.sweeper.sweep() == 2
    assert sweeping.names(keys.ENTITIES_STATE) == ["b"]
    sweeping.create("a")
    assert sweeping.entities.states().keys() == {"a", "b"}


def test_the_token_of_a_workflow_that_cannot_be_read_stays(
    sweeping: Sweeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeping.create("a")
    damage(monkeypatch, sweeping.store, keys.workflow("a"))
    assert sweeping.sweeper.sweep() == 0


def test_a_workflow_that_is_created_meanwhile_keeps_its_token(
    sweeping: Sweeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeping.create("a")
    sweeping.delete("a")
    before_commit(monkeypatch, sweeping.store, lambda: sweeping.create("a"))
    assert sweeping.sweeper.sweep() == 0
    assert sweeping.names(keys.ENTITIES_STATE) == ["a"]


def test_all_records_are_looked_at_a_piece_at_a_time(
    sweeping: Sweeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_sweep, "PIECE", 2)
    for name in "abcdefg":
        sweeping.create(name)
        sweeping.live(name)
        node_calls.call(sweeping.store, name, node_calls.REPORT)
        node_calls.report(sweeping.store, name, b"{}")
    for name in "aceg":
        sweeping.delete(name)
    assert [sweeping.sweeper.sweep() for _ in range(5)] == [3, 3, 3, 2, 0]
    sweeping.now_at += LEFT_S
    assert [sweeping.sweeper.sweep() for _ in range(5)] == [2, 2, 1, 2, 0]


def test_calls_and_reports_of_nodes_that_are_gone_go(sweeping: Sweeping) -> None:
    sweeping.live("a", is_there=True)
    for name in ("a", "b", "me"):
        node_calls.report(sweeping.store, name, b"{}")
        node_calls.call(sweeping.store, name, node_calls.DRAIN, "5")
    assert sweeping.sweeper.sweep() == 2
    assert sweeping.names(keys.CALLS) == ["a/drain", "me/drain"]
    assert sweeping.names(keys.REPORTS) == ["a", "me"]


def test_a_life_stays_a_week_longer_than_its_node(sweeping: Sweeping) -> None:
    for name in ("a", "b", "me"):
        sweeping.live(name, is_there=name == "a")
    sweeping.sweeper.sweep()
    sweeping.now_at += LEFT_S - 1
    sweeping.sweeper.sweep()
    assert sweeping.lives == ["a", "b", "me"]
    sweeping.now_at += 1
    assert sweeping.sweeper.sweep() == 1
    assert sweeping.lives == ["a", "me"]


def test_a_week_counts_whichever_node_sweeps(sweeping: Sweeping) -> None:
    sweeping.live("a")
    sweeping.sweeper.sweep()
    sweeping.now_at += LEFT_S
    assert sweeping.another().sweep() == 1


def test_a_week_begins_anew_when_a_node_was_there(sweeping: Sweeping) -> None:
    sweeping.live("a")
    sweeping.sweeper.sweep()
    sweeping.now_at += LEFT_S - 1
    lease = sweeping.store.lease(keys.node("a"), "a", 1e6)
    lease.acquire()
    sweeping.sweeper.sweep()
    lease.release()
    sweeping.sweeper.sweep()
    sweeping.now_at += LEFT_S - 1
    assert sweeping.sweeper.sweep() == 0


def test_a_clock_that_was_ahead_keeps_no_life_for_ever(sweeping: Sweeping) -> None:
    sweeping.live("a")
    sweeping.another(ahead_s=1e9).sweep()
    sweeping.weeks()
    assert sweeping.lives == []


@pytest.mark.parametrize("key", [keys.opened("a", "w", "r"), keys.undelivered("a", "w", "r")])
@pytest.mark.parametrize("is_damaged", [False, True])
def test_the_life_of_a_node_stays_that_has_left_something_open(
    sweeping: Sweeping, key: str, *, is_damaged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeping.live("a")
    sweeping.store.commit([Put(key, b"")])
    if is_damaged:
        damage(monkeypatch, sweeping.store, key)
    sweeping.weeks(2)
    assert sweeping.lives == ["a"]


def test_a_node_that_starts_meanwhile_keeps_its_life(
    sweeping: Sweeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeping.live("a")
    sweeping.sweeper.sweep()
    sweeping.now_at += LEFT_S
    before_commit(monkeypatch, sweeping.store, lambda: sweeping.live("a"))
    assert sweeping.sweeper.sweep() == 0
    assert lives.last(sweeping.store, "a") == Life(incarnation=1, form=FORM)


@pytest.mark.parametrize("form", [FORM, FORM - 1])
def test_with_the_life_of_an_older_version_its_requests_are_indexed(
    sweeping: Sweeping, form: int
) -> None:
    sweeping.live("a", form=form)
    indexing.note(sweeping.store, Progress(is_done=True))
    sweeping.weeks()
    assert sweeping.lives == []
    assert indexing.read(sweeping.store) == Progress(is_done=form == FORM)


def test_what_a_later_version_recorded_of_a_life_stays(sweeping: Sweeping) -> None:
    later = {"incarnation": 5, "form": FORM + 1, "zone": "z"}
    sweeping.store.commit([Put(keys.life("a"), msgspec.json.encode(later))])
    sweeping.sweeper.sweep()
    found = sweeping.store.get(keys.life("a"))
    assert found is not None
    assert msgspec.json.decode(found.value) == {**later, "left_at": 1000.0}


def test_a_record_that_cannot_be_read_stays(sweeping: Sweeping) -> None:
    sweeping.store.commit([Put(keys.life("a"), b"rubbish")])
    sweeping.weeks(2)
    assert sweeping.lives == ["a"]


def test_a_node_that_is_not_chosen_removes_nothing(sweeping: Sweeping) -> None:
    sweeping.create("a")
    sweeping.delete("a")
    sweeping.is_chosen = False
    assert sweeping.sweeper.sweep() == 0
    assert sweeping.names(keys.ENTITIES_STATE) == ["a"]


def test_a_store_that_fails_is_told(sweeping: Sweeping, monkeypatch: pytest.MonkeyPatch) -> None:
    sweeping.live("a")
    full = [CommitOutcome(0, StoreFull("it", "full"))]
    monkeypatch.setattr(sweeping.store, "commit_many", lambda _: full)
    with pytest.raises(StoreFull):
        sweeping.sweeper.sweep()


def before_commit(
    monkeypatch: pytest.MonkeyPatch, store: MemoryStore, call: Callable[[], object]
) -> None:
    """Have something happen once between the reads of a sweep and its commit."""
    commit_many, calls = store.commit_many, [call]

    def commit(chains: list[Chain]) -> list[CommitOutcome]:
        while calls:
            calls.pop()()
        return commit_many(chains)

    monkeypatch.setattr(store, "commit_many", commit)


def damage(monkeypatch: pytest.MonkeyPatch, store: MemoryStore, key: str) -> None:
    """Have a key be unreadable in ranges."""
    plain = store.range

    def damaged_range(
        prefix: str, damaged: list[EntryDamaged] | None = None, **how: Any
    ) -> list[Entry]:
        found = plain(prefix, **how)
        if damaged is not None:
            damaged += [EntryDamaged(one.key, "bits") for one in found if one.key == key]
        return [one for one in found if one.key != key]

    monkeypatch.setattr(store, "range", damaged_range)
