from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from jobx.entity_json import encode
from jobx.errors import JobxError, OutcomeUnknown, StoreUnavailable
from jobx.kv import keys
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import deliveries
from jobx.kv.requests.deliveries import GIVEN_UP
from jobx.kv.store import Chain, CommitOutcome, Delete, Put, Unit
from jobx.model import Destination
from tests.support.results import NAMES, finished

KEY = NAMES.workflow, NAMES.request_id


class Racing(MemoryStore):
    """A store in which another node is faster by one commit."""

    def __init__(self) -> None:
        super().__init__()
        self.before: list[Unit] = []

    def commit_many(self, chains: Sequence[Chain]) -> list[CommitOutcome]:
        while self.before:
            super().commit_many([[self.before.pop()]])
        return super().commit_many(chains)


@pytest.fixture
def store() -> Racing:
    made = Racing()
    request = finished(Destination(writer="http", place="p"), [("a", 1)])
    made.commit(deliveries.begin_writes(request, "lost"))
    return made


def test_a_delivery_of_a_lost_node_moves_as_it_is(store: Racing) -> None:
    found = deliveries.get(store, *KEY)
    assert found is not None
    tried = replace(found[0], attempts=2, error="e")
    assert deliveries.save(store, "lost", KEY, tried)
    assert deliveries.take_over(store, "lost", "b", [KEY]) == [KEY]
    assert deliveries.undelivered(store, "lost", 10) == []
    assert deliveries.undelivered(store, "b", 10) == [KEY]
    again = deliveries.get(store, *KEY)
    assert again is not None and again[0] == tried


def test_one_of_two_nodes_takes_a_delivery_over(store: Racing) -> None:
    entry = store.get(keys.delivery(*KEY))
    assert entry is not None
    faster: Unit = [
        Delete(keys.undelivered("lost", *KEY)),
        Put(keys.undelivered("c", *KEY), b""),
        Put(entry.key, entry.value),
    ]
    store.before.append(faster)
    assert deliveries.take_over(store, "lost", "b", [KEY]) == []
    assert deliveries.undelivered(store, "c", 10) == [KEY]
    assert deliveries.undelivered(store, "b", 10) == []


def test_a_delivery_that_is_gone_is_not_taken_over(store: Racing) -> None:
    store.commit([Delete(keys.delivery(*KEY))])
    deliveries.take_over(store, "lost", "b", [KEY])
    assert store.range("undelivered/") == []


def test_no_more_are_taken_than_are_wanted(store: Racing) -> None:
    assert deliveries.take_over(store, "lost", "b", []) == []
    assert deliveries.undelivered(store, "lost", 10) == [KEY]


def test_a_store_that_does_not_answer_is_told(
    store: Racing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise StoreUnavailable("gone")

    monkeypatch.setattr(store, "commit_many", refuse)
    with pytest.raises(StoreUnavailable):
        deliveries.take_over(store, "lost", "b", [KEY])


@pytest.mark.parametrize("is_of_all", [True, False])
def test_a_delivery_that_may_have_moved_is_told(
    is_of_all: bool, store: Racing, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = OutcomeUnknown("k", "no answer")

    def commit(chains: Sequence[Chain]) -> list[CommitOutcome]:
        MemoryStore.commit_many(store, chains)
        if is_of_all:
            raise error
        return [CommitOutcome(0, error)]

    monkeypatch.setattr(store, "commit_many", commit)
    assert deliveries.take_over(store, "lost", "b", [KEY]) == [KEY]


@pytest.mark.parametrize("end", ["pending", "delivered", GIVEN_UP])
def test_a_node_that_lost_a_delivery_does_not_write_it(end: str, store: Racing) -> None:
    deliveries.take_over(store, "lost", "b", [KEY])
    before = deliveries.get(store, *KEY)
    assert before is not None
    late = replace(before[0], state=end, attempts=7)
    assert not deliveries.save(store, "lost", KEY, late)
    assert deliveries.get(store, *KEY) == before


def test_a_delivery_whose_end_was_written_without_an_answer_is_saved(store: Racing) -> None:
    found = deliveries.get(store, *KEY)
    assert found is not None
    ended = replace(found[0], state=GIVEN_UP)
    assert deliveries.save(store, "lost", KEY, ended)
    assert deliveries.save(store, "lost", KEY, ended)


def test_a_delivery_that_was_given_up_is_nobody_s(store: Racing) -> None:
    found = deliveries.get(store, *KEY)
    assert found is not None
    deliveries.save(store, "lost", KEY, replace(found[0], state=GIVEN_UP))
    assert deliveries.take_over(store, "lost", "b", [KEY]) == []


def test_a_pending_delivery_is_due_on_its_node_alone(store: Racing) -> None:
    assert deliveries.renew(store, "lost", *KEY)
    assert not deliveries.renew(store, "b", *KEY)


def test_an_ended_delivery_is_due_where_it_is_renewed(store: Racing) -> None:
    found = deliveries.get(store, *KEY)
    assert found is not None
    assert deliveries.save(store, "lost", KEY, replace(found[0], state=GIVEN_UP))
    assert deliveries.renew(store, "b", *KEY)
    assert deliveries.undelivered(store, "b", 10) == [KEY]
    assert not deliveries.renew(store, "c", *KEY)


def test_a_delivery_is_of_the_node_that_took_it_over(store: Racing) -> None:
    assert deliveries.is_of(store, "lost", *KEY)
    deliveries.take_over(store, "lost", "b", [KEY])
    assert not deliveries.is_of(store, "lost", *KEY)
    assert deliveries.is_of(store, "b", *KEY)


def test_a_delivery_that_is_renewed_while_its_end_is_noted_keeps_its_node(store: Racing) -> None:
    found = deliveries.get(store, *KEY)
    assert found is not None
    marker = Put(keys.undelivered("lost", *KEY), b"")
    store.commit([Put(found[1].key, encode(replace(found[0], state=GIVEN_UP)))])
    store.before.append([Put(found[1].key, found[1].value), marker])
    assert deliveries.take_over(store, "lost", "b", [KEY]) == []
    assert deliveries.is_of(store, "lost", *KEY)


@pytest.mark.parametrize("error", [StoreUnavailable("gone"), OutcomeUnknown("k", "gone")])
def test_a_store_that_fails_on_the_way_hides_no_delivery_that_has_moved(
    store: Racing, monkeypatch: pytest.MonkeyPatch, error: JobxError
) -> None:
    other = ("w", "other")
    first = deliveries.get(store, *KEY)
    assert first is not None
    store.commit([Put(keys.delivery(*other), first[1].value)])
    commit = store.commit_many

    def fail_after_one(chains: Sequence[Chain]) -> list[CommitOutcome]:
        return [*commit(chains[:1]), *[CommitOutcome(0, error)] * (len(chains) - 1)]

    monkeypatch.setattr(store, "commit_many", fail_after_one)
    may_have = [other] if isinstance(error, OutcomeUnknown) else []
    assert deliveries.take_over(store, "lost", "b", [KEY, other]) == [KEY, *may_have]


def test_a_damaged_delivery_moves_and_keeps_no_other_from_it(store: Racing) -> None:
    store.commit([Put(keys.delivery("w", "bad"), b"?")])
    assert deliveries.take_over(store, "lost", "b", [("w", "bad"), KEY]) == [("w", "bad"), KEY]


def test_a_delivery_of_a_newer_version_stays(store: Racing) -> None:
    found = deliveries.get(store, *KEY)
    assert found is not None
    newer = found[1].value.replace(b"{", b'{"newer":1,', 1)
    store.commit([Put(found[1].key, newer)])
    assert deliveries.take_over(store, "lost", "b", [KEY]) == []
    assert deliveries.is_of(store, "lost", *KEY)
