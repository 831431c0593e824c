"""Records of what is gone are removed on every store, whoever comes back meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from jobx.actors.record_sweep import LEFT_S, RecordSweep
from jobx.entity_json import encode
from jobx.kv import keys, node_calls
from jobx.kv.entities.entities import Entities
from jobx.kv.entities.transactions import change
from jobx.kv.requests import indexing, lives
from jobx.kv.requests.indexing import Progress
from jobx.kv.requests.lives import FORM, Life
from jobx.kv.store import Create, Write
from jobx.model import Workflow
from tests.support.stores import ALL_KINDS, OpenStore


@pytest.fixture(params=ALL_KINDS)
def store(request: pytest.FixtureRequest, open_store: OpenStore, tmp_path: Path) -> Iterator[Any]:
    with closing(open_store(request.param, tmp_path)) as opened:
        yield opened


def left(store: Any) -> list[str]:
    prefixes = keys.ENTITIES_STATE, keys.life(""), keys.CALLS, keys.REPORTS
    return [entry.key for prefix in prefixes for entry in store.range(prefix)]


def test_records_of_what_is_gone_go_and_those_of_what_is_there_stay(store: Any) -> None:
    there, gone = ("a", "me"), ("b", "c")
    entities, now_at = Entities(store), 1000.0
    sweep = RecordSweep(store, "me", lambda: True, lambda: now_at)
    for name in (*there, *gone):
        entities.create(Workflow(workflow_name=name, description=""))
        lives.begin(store, name, Life(incarnation=1, form=FORM - (name == "c")))
        node_calls.report(store, name, b"{}")
        node_calls.call(store, name, node_calls.DRAIN, "1")
    leases = getattr(store, "inner", store)
    if hasattr(leases, "lease"):
        leases.lease(keys.node("a"), "a", 60.0).acquire()
    else:  # in a folder there is one node
        there, gone = ("me",), ("a", *gone)
    for name in gone:
        entities.delete(Workflow, name)
    indexing.note(store, Progress(is_done=True))
    assert sweep.sweep() == 3 * len(gone)
    assert indexing.missing(store) is None
    now_at += LEFT_S
    assert sweep.sweep() == len(gone)
    assert indexing.missing(store) is not None  # node c was of an older version
    assert left(store) == [
        *(keys.entities_state(name) for name in there),
        *(keys.life(name) for name in there),
        *(keys.call(name, node_calls.DRAIN) for name in there),
        *(keys.report(name) for name in there),
    ]
    for name in gone:
        entities.create(Workflow(workflow_name=name, description="anew"))
        lives.begin(store, name, Life(incarnation=2, form=FORM))
    assert sweep.sweep() == 0
    assert {*entities.states()} == {*there, *gone}


def test_a_change_that_has_read_a_token_which_is_swept_then_is_planned_again(store: Any) -> None:
    anew = Workflow(workflow_name="a", description="anew")
    entities, sweep = Entities(store), RecordSweep(store, "me", lambda: True, lambda: 1000.0)
    entities.create(anew)
    entities.delete(Workflow, "a")

    def plan() -> tuple[list[Write], int]:
        return [Create(keys.workflow("a"), encode(anew))], sweep.sweep()

    assert change(store, "a", plan) == 0  # at the second try there is no token
    assert (entities.get(Workflow, "a"), sweep.sweep()) == (anew, 0)
    assert left(store) == [keys.entities_state("a")]
