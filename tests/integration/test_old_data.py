"""A data folder that an older JobX left, with a request that is open."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

from jobx.kv import keys
from jobx.kv.opening import open_store
from jobx.kv.requests import event_log
from jobx.kv.store import Put, Store
from tests.support.authoring import SLEEP, WORKFLOW, define, settings_of
from tests.support.live_node import live_node, outcome_of, pairs_of

REQUEST_ID = "01arz3ndektsv4rrffq69g5fav"


def leave_open(folder: Path) -> None:
    """Run a node until it has accepted a request, and stop it."""
    define(folder, {"sleep": SLEEP}, {"s": ("sleep", "sum")})
    with live_node(folder) as node:
        asked = node.post_later("s", {"ms": 500}, request_id=REQUEST_ID, is_blocking=False)
        assert outcome_of(asked).request.state == "running"


def make_old(store: Store) -> None:
    """Give a request the form that it had in 1.0.0."""
    entity = store.get(keys.entity("request", WORKFLOW, REQUEST_ID))
    first = store.get(keys.event(WORKFLOW, REQUEST_ID, 0))
    assert entity is not None and first is not None
    fields = json.loads(entity.value)
    record = event_log.decode_record(first.value)
    del fields["coordinator"], fields["plan"], record["node"]
    store.commit(
        [
            Put(entity.key, json.dumps(fields).encode()),
            Put(first.key, event_log.encode_record(record)),
        ]
    )


def test_a_request_of_1_0_0_goes_on(tmp_path: Path) -> None:
    leave_open(tmp_path)
    with closing(open_store(settings_of(tmp_path))) as store:
        make_old(store)
    with live_node(tmp_path) as node:
        key = {"workflow": WORKFLOW, "request_id": REQUEST_ID}
        ended = outcome_of(node.ask_later("wait", **key, wait_s=30.0))
        assert pairs_of(ended)
        assert (ended.request.coordinator, len(ended.request.plan or "")) == ("local", 64)
