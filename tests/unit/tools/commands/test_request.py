from __future__ import annotations

import pytest

from jobx.kv.entities.entities import Entities
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import request_entity
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


@pytest.mark.parametrize(
    ("url", "said"), [("", "running (waits for a node)"), ("etcd://elsewhere:2379", "running")]
)
def test_it_is_said_that_no_node_works_on_a_request_only_where_that_is_known(
    jobx: Jobx, monkeypatch: pytest.MonkeyPatch, url: str, said: str
) -> None:
    store = MemoryStore()
    Entities(store).create(Workflow(workflow_name="texts", description=""))
    store.commit(request_entity.accept_writes(RUNNING, "local"))
    monkeypatch.setattr(command, "open_store", lambda *_: store)
    monkeypatch.setattr(command.Call, "find_store", lambda _: None)
    monkeypatch.setenv("JOBX_STORE_URL", url)

    shown = jobx("request", "get", "texts", "r")

    assert shown.exit_code == 0, shown.output
    (state,) = [line for line in shown.output.splitlines() if line.startswith("state")]
    assert state.removeprefix("state").strip() == said
