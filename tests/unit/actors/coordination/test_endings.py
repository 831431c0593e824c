"""How a request of a stopped node ends."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from jobx.actors.coordination import endings
from jobx.errors import Conflict, InUse, NotFound
from jobx.kv import keys
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import event_log, request_entity
from jobx.kv.requests.lives import Mark
from jobx.kv.store import Chain, CommitOutcome, Create
from jobx.model import Request

NODE, NAMES = "node1", ("flow", "r1")


class _Watched(MemoryStore):
    """Notes what is written, and has another one write an event just before."""

    def __init__(self) -> None:
        super().__init__()
        self.chains: list[Chain] = []
        self.before: Create | None = None

    def commit_many(self, chains: Sequence[Chain]) -> list[CommitOutcome]:
        """See ``Store.commit_many``."""
        if self.before is not None:
            super().commit_many([[[self.before]]])
        self.chains += chains
        return super().commit_many(chains)


@pytest.fixture
def store() -> _Watched:
    store = _Watched()
    request = Request(
        workflow_name=NAMES[0],
        request_id=NAMES[1],
        job_name="count",
        invocation_id="m0",
        accepted_at=1.0,
    )
    first = event_log.event_write(*NAMES, 0, {"event": "accepted"})
    store.commit([*request_entity.accept_writes(request, NODE, "print"), first])
    store.chains.clear()
    return store


def cancel(store: _Watched) -> Request:
    return endings.cancel(store, NODE, *NAMES, "enough")


def test_a_cancelled_request_has_its_reason_and_its_end_in_its_log(store: _Watched) -> None:
    assert cancel(store).state == "cancelled"
    log = [record["event"] for _, record in event_log.read(store, *NAMES)]
    assert log == ["accepted", "cancelled", "finished"]
    assert request_entity.get(store, *NAMES).is_done
    assert store.range(keys.OPEN) == []


def test_each_unit_has_one_event_and_it_is_the_last_condition(store: _Watched) -> None:
    cancel(store)
    (chain,) = store.chains
    asked = [[write.key for write in unit if isinstance(write, Create)] for unit in chain]
    events = [[key for key in some if key.startswith(keys.log(*NAMES))] for some in asked]
    assert events == [[keys.event(*NAMES, number)] for number in (1, 2)]
    assert [some[-1:] for some in asked] == events


def test_a_request_that_goes_on_meanwhile_is_not_cancelled(store: _Watched) -> None:
    store.before = event_log.event_write(*NAMES, 1, {"event": "finished"})
    with pytest.raises(Conflict):
        cancel(store)
    assert not request_entity.get(store, *NAMES).is_done


def test_an_unknown_request_cannot_be_cancelled() -> None:
    with pytest.raises(NotFound):
        cancel(_Watched())


def test_a_request_that_another_node_has_adopted_is_not_cancelled(store: _Watched) -> None:
    adopted = replace(request_entity.get(store, *NAMES), coordinator="b")
    store.commit(request_entity.adopt_writes(adopted, NODE, Mark()))
    with pytest.raises(InUse, match="request r1 is used by node b"):
        cancel(store)
    assert not request_entity.get(store, *NAMES).is_done
