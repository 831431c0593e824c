from __future__ import annotations

import pytest
from msgspec.structs import replace

from jobx import meanings
from jobx.kv import keys, opening
from jobx.kv.entities.entities import Entities
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import kept_requests, request_counts, request_entity
from jobx.kv.requests.kept_requests import FinishedRequest
from jobx.model import Request, Workflow
from jobx.tools.shared import command
from tests.unit.tools.conftest import Jobx

RUNNING = Request(
    request_id="r",
    workflow_name="texts",
    job_name="count",
    accepted_at=1.0,
    invocation_id="m0",
)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    """A store that commands take for one on other machines."""
    made = MemoryStore()
    monkeypatch.setattr(made, "close", lambda: None)
    monkeypatch.setattr(command, "open_store", lambda *_: made)
    monkeypatch.setenv("JOBX_STORE_URL", "etcd://elsewhere:2379")
    monkeypatch.setattr(opening, "LEASE_S", 0.1)
    request = replace(RUNNING, coordinator="a")
    made.commit(request_entity.accept_writes(request, "a"))
    return made


def test_a_request_of_a_node_that_does_not_run_is_cancelled_in_the_store(
    jobx: Jobx, store: MemoryStore
) -> None:
    assert jobx("request", "cancel", "texts", "r").exit_code == 0
    assert request_entity.get(store, "texts", "r").state == "cancelled"
    assert store.get(keys.opened("a", "texts", "r")) is None


def test_a_request_of_a_node_that_runs_is_not_cancelled_without_it(
    jobx: Jobx, store: MemoryStore
) -> None:
    store.lease(keys.node("a"), "host:folder", 60.0).acquire()
    done = jobx("request", "cancel", "texts", "r")
    assert done.exit_code == meanings.TAKEN
    assert "lease nodes/a is used by host:folder" in done.output
    assert request_entity.get(store, "texts", "r").state == "running"


def test_a_request_is_removed_though_a_node_writes_its_marker_meanwhile(
    jobx: Jobx, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    Entities(store).create(Workflow(workflow_name="texts", description=""))
    ended = replace(RUNNING, state="succeeded", is_done=True, finished_at=2.0)
    store.commit(request_entity.finish_writes(ended, "a"))
    find, found = kept_requests.find, list[str]()

    def written_behind(_: MemoryStore, request: Request) -> FinishedRequest:
        kept = find(store, request)
        found.append(kept.marker)
        if len(found) < 3:
            store.commit(kept_requests.postpone_writes(store, kept, 9.0 + len(found), 1.0))
        return kept

    monkeypatch.setattr(kept_requests, "find", written_behind)
    removed = jobx("request", "cleanup", "texts", "r")
    assert removed.output == "removed request texts/r\n"
    assert len(set(found)) == 3
    assert store.range(keys.KEPT) == []
    assert +request_counts.read(store, "texts")["count"] == {}


@pytest.mark.parametrize(
    ("url", "said"), [("", "running (waits for a node)"), ("etcd://elsewhere:2379", "running")]
)
def test_it_is_said_that_no_node_works_on_a_request_only_where_that_is_known(
    jobx: Jobx, monkeypatch: pytest.MonkeyPatch, url: str, said: str
) -> None:
    store = MemoryStore()
    monkeypatch.setattr(store, "close", lambda: None)
    Entities(store).create(Workflow(workflow_name="texts", description=""))
    store.commit(request_entity.accept_writes(RUNNING, "local"))
    monkeypatch.setattr(command, "open_store", lambda *_: store)
    monkeypatch.setattr(command.Call, "find_store", lambda _: None)
    monkeypatch.setenv("JOBX_STORE_URL", url)

    shown = jobx("request", "get", "texts", "r")

    assert shown.exit_code == 0, shown.output
    (state,) = [line for line in shown.output.splitlines() if line.startswith("state")]
    assert state.removeprefix("state").strip() == said
