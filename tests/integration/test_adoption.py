"""Requests that go from one node to another: what the log, the store and the callers then say."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from jobx.actors.coordination.endings import ended
from jobx.actors.messages import Adopt, RequestKey, Waiting
from jobx.actors.request.events import Adopted, Event, Finished, to_record
from jobx.errors import Unavailable
from jobx.kv import keys
from jobx.kv.opening import open_store
from jobx.kv.requests import event_log, request_entity
from jobx.kv.requests.lives import Mark
from jobx.kv.store import Put, Store, Write
from jobx.model import Request
from tests.support.authoring import WORKFLOW, define, settings_of
from tests.support.live_node import LiveNode, live_node, outcome_of, pairs_of, trace_of
from tests.support.waiting import eventually

REQUEST_ID = "01arz3ndektsv4rrffq69g5fav"
LOCAL = "local"
KEY = RequestKey(WORKFLOW, REQUEST_ID)
NAMES = {"workflow": WORKFLOW, "request_id": REQUEST_ID}
#: Returns once a file is there.
GATE = """
import os, time
def handler(gate):
    yield Return()
    while not os.path.exists(gate):
        time.sleep(0.01)
    yield "n", 1
"""
HANDLERS = {"gate": GATE}
STEPS = {"gate": ("gate", "sum")}


def append(store: Store, event: Event, *writes: Write) -> None:
    number = event_log.next_number(store, *KEY)
    store.commit([*writes, event_log.event_write(*KEY, number, to_record(event))])


def take_over(store: Store) -> Request:
    """Do what node b does when it adopts the request of this one."""
    request = replace(request_entity.get(store, *KEY), coordinator="b")
    append(store, Adopted(1.0, "b", 1), *request_entity.adopt_writes(request, LOCAL, Mark(life=1)))
    return request


def finish(store: Store, request: Request) -> None:
    """Do what node b does when the request has ended."""
    finished = Finished(2.0, "succeeded", None, ())
    number = event_log.next_number(store, *KEY)
    writes = request_entity.finish_writes(ended(request, finished), "b", "p", number + 1)
    append(store, finished, *writes)


def leave_open(tmp_path: Path, change: Callable[[Store], object]) -> Path:
    """Stop a node with a request, change the store, and return what the request waits for."""
    gate = tmp_path / "gate"
    define(tmp_path, HANDLERS, STEPS)
    with live_node(tmp_path) as node:
        asked = {"request_id": REQUEST_ID, "is_blocking": False}
        outcome_of(node.post_later("gate", {"gate": str(gate)}, **asked))
    with closing(open_store(settings_of(tmp_path))) as store:
        change(store)
    return gate


def is_at_work(node: LiveNode) -> bool:
    """Whether the request is durable and its mapper runs."""
    is_busy = "busy" in {executor.state for executor in node.status().executors}
    return is_busy and node.node._store.get(keys.event(*KEY, 0)) is not None


def test_a_client_of_a_fenced_coordinator_gets_the_answer_of_the_new_one(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    define(tmp_path, HANDLERS, STEPS)
    with live_node(tmp_path) as node:
        store = node.node._store
        asked = node.post_later("gate", {"gate": str(gate)}, request_id=REQUEST_ID)
        eventually(lambda: is_at_work(node))
        request = take_over(store)
        gate.touch()  # what comes now is fenced off

        eventually(node.is_idle)
        shown = node.ask("request.get", **NAMES)
        assert (shown["state"], shown["coordinator"]) == ("running", "b")
        with pytest.raises(Unavailable, match="is coordinated by node b"):
            node.ask("request.cancel", **NAMES, reason="enough")
        assert not asked.done()

        finish(store, request)
        outcome = outcome_of(asked)
        assert (outcome.request.state, outcome.request.coordinator) == ("succeeded", "b")
        assert store.range(keys.OPEN) == []


def test_a_cancel_that_is_fenced_off_says_who_has_the_request(tmp_path: Path) -> None:
    define(tmp_path, HANDLERS, STEPS)
    with live_node(tmp_path) as node:
        gone = {"gate": str(tmp_path / "none")}
        asked = node.post_later("gate", gone, request_id=REQUEST_ID, wait_s=5.0)
        eventually(lambda: is_at_work(node))
        take_over(node.node._store)
        with pytest.raises(Unavailable, match="is coordinated by node b"):
            node.ask("request.cancel", **NAMES, reason="enough")
        assert outcome_of(asked).request.state == "running"


def test_a_request_of_another_node_is_not_continued(tmp_path: Path) -> None:
    def give_away(store: Store) -> None:
        """Leave the marker here, as an unfinished unit of a store without transactions may."""
        marker = store.get(keys.opened(LOCAL, *KEY))
        assert marker is not None
        take_over(store)
        store.commit([Put(marker.key, marker.value)])

    leave_open(tmp_path, give_away)
    with live_node(tmp_path) as node:
        shown = node.ask("wait", **NAMES, wait_s=1.0)["request"]
        assert (shown["state"], shown["coordinator"]) == ("running", "b")
        events = [str(record["event"]) for _, record in event_log.read(node.node._store, *KEY)]
        assert (events.count("adopted"), events[-1]) == (1, "adopted")


def test_a_request_of_a_lost_node_moves_with_its_adoption(tmp_path: Path) -> None:
    gate = leave_open(tmp_path, take_over)
    gate.touch()
    with live_node(tmp_path) as node:
        store = node.node._store
        adopt = Adopt((Waiting(KEY, deaths=1, node_id="b"),))
        node.later(lambda: node.node._base.deliver(node.node._supervisor, adopt))
        outcome = outcome_of(node.ask_later("wait", **NAMES, wait_s=60.0))
        assert pairs_of(outcome) == [("n", 1)]
        assert outcome.request.coordinator == LOCAL
        assert trace_of(node, outcome).node_id == LOCAL
        assert store.range(keys.OPEN) == []


def test_a_marker_moves_with_its_adoption(tmp_path: Path) -> None:
    leave_open(tmp_path, take_over)
    with live_node(tmp_path) as node:
        store = node.node._store
        adopt = Adopt((Waiting(KEY, deaths=1, node_id="b"),))
        node.later(lambda: node.node._base.deliver(node.node._supervisor, adopt))
        marker = eventually(lambda: store.get(keys.opened(LOCAL, *KEY)))
        assert b'"deaths":1' in marker.value
        assert store.get(keys.opened("b", *KEY)) is None
        assert request_entity.get(store, *KEY).coordinator == LOCAL
