"""A data folder that an older or a newer JobX left, with a request that is open."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from jobx.errors import FormUnknown
from jobx.kv import keys
from jobx.kv.opening import open_store
from jobx.kv.requests import event_log, lives
from jobx.kv.store import Entry, Put, Store
from tests.support.authoring import SLEEP, WORKFLOW, define, settings_of
from tests.support.live_node import LiveNode, live_node, outcome_of, pairs_of
from tests.support.waiting import eventually

REQUEST_ID = "01arz3ndektsv4rrffq69g5fav"
KEY = {"workflow": WORKFLOW, "request_id": REQUEST_ID}
ENTITY = keys.entity("request", WORKFLOW, REQUEST_ID)
MARKER = keys.opened("local", WORKFLOW, REQUEST_ID)

Fields = dict[str, Any]
Change = Callable[[Store], None]


def leave_open(folder: Path, change: Change) -> None:
    """Run a node until it has accepted a request, stop it, and change what it wrote."""
    define(folder, {"sleep": SLEEP}, {"s": ("sleep", "sum")})
    with live_node(folder) as node:
        asked = node.post_later("s", {"ms": 3000}, request_id=REQUEST_ID, is_blocking=False)
        assert outcome_of(asked).request.state == "running"
    with closing(open_store(settings_of(folder))) as store:
        assert found(store, MARKER)
        change(store)


def found(store: Store, key: str) -> Entry:
    entry = store.get(key)
    assert entry is not None
    return entry


def change_json(store: Store, key: str, change: Callable[[Fields], object]) -> None:
    fields = json.loads(found(store, key).value)
    change(fields)
    store.commit([Put(key, json.dumps(fields).encode())])


def change_event(store: Store, number: int, change: Callable[[Fields], object]) -> None:
    key = keys.event(WORKFLOW, REQUEST_ID, number)
    record = event_log.decode_record(found(store, key).value)
    change(record)
    store.commit([Put(key, event_log.encode_record(record))])


def make_old(store: Store) -> None:
    """Give a request the form that it had in 1.0.0."""

    def strip(fields: Fields) -> None:
        del fields["coordinator"], fields["plan"]

    change_json(store, ENTITY, strip)
    change_event(store, 0, lambda record: record.pop("node"))


def add_event(store: Store) -> None:
    """Append an event that this version does not know."""
    number = event_log.next_number(store, WORKFLOW, REQUEST_ID)
    record = {"event": "parked", "at": 1.0, "why": "night"}
    store.commit([event_log.event_write(WORKFLOW, REQUEST_ID, number, record)])


def add_to_event(store: Store) -> None:
    change_event(store, 0, lambda record: record.update(zone="b"))


def add_to_entity(store: Store) -> None:
    change_json(store, ENTITY, lambda fields: fields.update(zone="b"))


def add_to_plan(store: Store) -> None:
    plan = json.loads(found(store, ENTITY).value)["plan"]
    change_json(store, keys.plan(WORKFLOW, plan), lambda fields: fields.update(zone="b"))


NEWER = pytest.mark.parametrize("change", [add_event, add_to_event, add_to_entity, add_to_plan])


def notice_of(node: LiveNode) -> str:
    """Return what readiness says of a node that is well, once it says something."""

    def told() -> str | None:
        answer = node.ask("node.ready")
        assert answer["trouble"] is None
        notice: str | None = answer["notice"]
        return notice

    found: str | None = eventually(told)
    assert found is not None
    return found


def test_a_request_of_1_0_0_goes_on(tmp_path: Path) -> None:
    leave_open(tmp_path, make_old)
    with live_node(tmp_path) as node:
        ended = outcome_of(node.ask_later("wait", **KEY, wait_s=60.0))
        assert pairs_of(ended)
        assert (ended.request.coordinator, len(ended.request.plan or "")) == ("local", 64)


@NEWER
def test_a_request_of_a_newer_version_is_neither_continued_nor_ended(
    change: Change, tmp_path: Path
) -> None:
    leave_open(tmp_path, change)
    with closing(open_store(settings_of(tmp_path))) as store:
        before = [found(store, ENTITY).value, *event_log.read(store, WORKFLOW, REQUEST_ID)]
    for _ in range(2):
        with live_node(tmp_path) as node:
            assert REQUEST_ID in notice_of(node)
            with pytest.raises(FormUnknown):
                node.ask("request.cancel", **KEY, reason="enough")
    with closing(open_store(settings_of(tmp_path))) as store:
        now = [found(store, ENTITY).value, *event_log.read(store, WORKFLOW, REQUEST_ID)]
        assert now == before
        mark = lives.Mark(events=len(now) - 1, job="s")
        assert found(store, MARKER).value == lives.encode(mark)


@NEWER
def test_what_is_known_of_a_request_of_a_newer_version_is_shown(
    change: Change, tmp_path: Path
) -> None:
    leave_open(tmp_path, change)
    with live_node(tmp_path) as node:
        notice_of(node)
        shown = node.ask("request.get", **KEY)
        assert (shown["state"], shown["coordinator"]) == ("running", "local")
        assert "unknown" in shown["left_open"]
        trace = json.loads(node.ask("request.trace", **KEY)["json"])
        assert trace["request"]["request_id"] == REQUEST_ID
        assert (trace["root"] is None) == (change is add_to_plan)
