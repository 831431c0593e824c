"""What a removed entity leaves on etcd with its v2 API: a record that nobody sees."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest
from msgspec.structs import replace

from jobx.kv import keys
from jobx.kv.entities.applying import apply_workflow
from jobx.kv.entities.entities import Entities, WorkflowSnapshot
from jobx.kv.etcd2.records import STAYS_S
from jobx.kv.etcd2.store import Etcd2Store
from jobx.model import Handler, Workflow
from tests.support.stores import OpenStore

WORKFLOW = Workflow(workflow_name="w", description="")
HANDLER = Handler(
    workflow_name="w",
    handler_name="h",
    description="",
    handler_type="mapper",
    source_code="yield 1",
)
OTHER = replace(HANDLER, handler_name="other")


def wanted(*handlers: Handler) -> WorkflowSnapshot:
    return WorkflowSnapshot(WORKFLOW, {}, {}, {one.handler_name: one for one in handlers})


@pytest.fixture
def store(open_store: OpenStore, tmp_path: Path) -> Iterator[Etcd2Store]:
    with closing(cast("Etcd2Store", open_store("etcd2", tmp_path))) as store:
        yield store


@pytest.fixture
def entities(store: Etcd2Store) -> Entities:
    """Of a store that had a workflow with two handlers, which was removed."""
    apply_workflow(store, wanted(HANDLER, OTHER))
    entities = Entities(store)
    entities.delete(Workflow, "w", force=True)
    return entities


def ttl_s(store: Etcd2Store, key: str) -> int | None:
    """Return how long a key is still there; None: for ever."""
    url = f"http://{store._connection.where}/v2/keys{store._names.path(key)}"
    with urllib.request.urlopen(url, timeout=60) as answer:
        left: int | None = json.load(answer)["node"].get("ttl")
    return left


def test_what_was_removed_is_in_no_list(store: Etcd2Store, entities: Entities) -> None:
    assert store.range(keys.ENTITIES) == store.range(keys.ENTITIES, limit=9) == []
    assert entities.page(Workflow, limit=1) == ([], None)
    assert entities.list(Handler) == []


def test_its_record_is_gone_after_a_day(store: Etcd2Store, entities: Entities) -> None:
    left_s = ttl_s(store, keys.entity("handler", "w", "h"))
    assert left_s is not None and 0 < left_s <= STAYS_S


def test_what_is_stored_in_its_place_stays(store: Etcd2Store, entities: Entities) -> None:
    apply_workflow(store, wanted(HANDLER))
    assert [one.handler_name for one in entities.list(Handler)] == ["h"]
    assert (
        ttl_s(store, keys.workflow("w")) is ttl_s(store, keys.entity("handler", "w", "h")) is None
    )


def test_one_apply_removes_and_creates_what_another_does_the_other_way_round(
    store: Etcd2Store, entities: Entities
) -> None:
    for handlers in ([HANDLER], [OTHER], [HANDLER, OTHER], []):
        apply_workflow(store, wanted(*handlers), prune=True)
        assert entities.list(Handler, "w") == [
            entities.get(Handler, "w", one.handler_name) for one in handlers
        ]
        assert len(entities.list(Handler)) == len(handlers)
    assert apply_workflow(store, wanted(), prune=True) == []
