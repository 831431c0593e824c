from __future__ import annotations

import functools
import json
import operator
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx import entity_json, model
from jobx.errors import Conflict, FormUnknown, InvalidInput, NotFound
from jobx.kv import keys
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import lives, request_entity, request_pages
from jobx.kv.requests.lives import Mark
from jobx.kv.store import Put
from jobx.model import Request
from jobx.payload import Payload
from tests.unit.kv.requests.stored_requests import FAILURE, accept, finish, request

TIMES = st.floats(0, 2**48 / 1000 - 1)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def newer(store: MemoryStore) -> MemoryStore:
    """A store with a request that a newer version wrote."""
    fields = {**msgspec.to_builtins(request("a")), "zone": "b"}
    store.commit([Put(keys.entity("request", "flow", "a"), msgspec.json.encode(fields))])
    return store


FAILED = {"state": "failed", "is_done": True, "finished_at": 10.0, "failure": FAILURE}


def put_newer(store: MemoryStore, whole: Request, path: tuple[str | int, ...], value: str) -> None:
    """Write a request as a newer version does, with another value at a path in it."""
    fields: Any = json.loads(entity_json.encode(whole))
    within = functools.reduce(operator.getitem, path[:-1], fields)
    within[path[-1]] = value
    store.commit([Put(keys.entity("request", "flow", "a"), json.dumps(fields).encode())])


def test_an_adopted_request_has_the_marker_of_its_new_node_alone(store: MemoryStore) -> None:
    accept(store, request("a"), request("b"))
    adopted = msgspec.structs.replace(request("a"), coordinator="node2")
    store.commit(request_entity.adopt_writes(adopted, "node1", Mark(life=7, deaths=1)))
    assert request_entity.opened(store, "node1") == [("flow", "b")]
    (found,) = lives.opened(store, "node2")
    assert found.mark == Mark(life=7, deaths=1, job="count")
    assert request_entity.get(store, "flow", "a") == adopted


def test_a_request_of_1_0_0_has_no_coordinator_and_no_plan(store: MemoryStore) -> None:
    old = {"workflow_name": "flow", "request_id": "a", "job_name": "j", "invocation_id": "m0"}
    body = msgspec.json.encode(old | {"accepted_at": 1.0})
    store.commit([Put(keys.entity("request", "flow", "a"), body)])
    found = request_entity.get(store, "flow", "a")
    assert (found.coordinator, found.plan) == (None, None)


def test_what_is_known_of_a_request_of_a_newer_version_is_read(newer: MemoryStore) -> None:
    assert request_entity.get(newer, "flow", "a") == request("a")


def test_a_request_of_a_newer_version_is_not_taken_for_whole(newer: MemoryStore) -> None:
    with pytest.raises(FormUnknown, match="zone"):
        request_entity.get_whole(newer, "flow", "a")


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        (FAILED, ("failure", "cause")),
        ({"counts": model.Counts(mapped=1)}, ("counts", "parked")),
        ({"destination": model.Destination(writer="files")}, ("destination", "zone")),
        ({"result": (Payload(count=1, size_bytes=1, blob="b"),)}, ("result", 0, "cipher")),
    ],
)
def test_what_is_new_inside_a_field_of_a_request_is_left_out(
    fields: dict[str, Any], path: tuple[str | int, ...], store: MemoryStore
) -> None:
    whole = request("a", **fields)
    accept(store, whole)
    put_newer(store, whole, path, "new")
    assert request_entity.get(store, "flow", "a") == whole
    assert request_pages.page(store, "flow") == ([whole], None)
    with pytest.raises(FormUnknown):
        request_entity.get_whole(store, "flow", "a")


@pytest.mark.parametrize(("is_done", "shown"), [(False, "running"), (True, "failed")])
def test_a_state_that_is_new_is_shown_as_the_nearest(
    is_done: bool, shown: str, store: MemoryStore
) -> None:
    put_newer(store, request("a", is_done=is_done), ("state",), "parked")
    assert request_entity.get(store, "flow", "a").state == shown
    with pytest.raises(FormUnknown):
        request_entity.get_whole(store, "flow", "a")


@given(now_at=TIMES, random=st.binary(min_size=10, max_size=10))
def test_an_id_is_a_name_of_26_characters(now_at: float, random: bytes) -> None:
    made = request_entity.new_id(now_at, random)
    assert re.fullmatch(r"[0-7][0-9a-hjkmnp-tv-z]{25}", made)
    assert model.check_name("request", made) == made


@given(times=st.lists(TIMES, min_size=2), randoms=st.binary(min_size=20, max_size=20))
def test_ids_sort_by_time(times: list[float], randoms: bytes) -> None:
    made = [request_entity.new_id(at, randoms[:10]) for at in sorted(times)]
    assert made == sorted(made)
    assert request_entity.new_id(times[0], b"\xff" * 10) < request_entity.new_id(
        times[0] + 0.002, b"\0" * 10
    )


def test_ids_of_one_instant_differ_by_their_random_bytes() -> None:
    made = {request_entity.new_id(1.0, bytes([number] * 10)) for number in range(256)}
    assert len(made) == 256


def test_an_accepted_request_is_stored_and_open(store: MemoryStore) -> None:
    accept(store, request("r1"))
    assert request_entity.get(store, "flow", "r1") == request("r1")
    assert request_entity.opened(store, "node1") == [("flow", "r1")]
    assert request_entity.opened(store, "node") == []


def test_an_id_is_accepted_once(store: MemoryStore) -> None:
    accept(store, request("r1"))
    with pytest.raises(Conflict):
        accept(store, request("r1"))


def test_a_finished_request_is_stored_and_no_longer_open(store: MemoryStore) -> None:
    accept(store, request("r1"))
    done = finish(store, request("r1"), 10.0)
    assert request_entity.get(store, "flow", "r1") == done
    assert request_entity.opened(store, "node1") == []


def test_get_names_the_request_that_does_not_exist(store: MemoryStore) -> None:
    with pytest.raises(NotFound, match="no request named flow/r1"):
        request_entity.get(store, "flow", "r1")


@pytest.mark.parametrize("names", [("flow", "../x"), ("a/b", "r1")])
def test_get_refuses_what_is_no_name(store: MemoryStore, names: tuple[str, str]) -> None:
    with pytest.raises(InvalidInput):
        request_entity.get(store, *names)


def test_a_client_key_stands_for_its_first_request(store: MemoryStore) -> None:
    accept(store, request("r1", idempotency_key="any/thing é"))
    with pytest.raises(Conflict) as caught:
        accept(store, request("r2", idempotency_key="any/thing é"))
    assert caught.value.args == (keys.idempotency("flow", "count", "any/thing é"),)
    assert request_entity.idempotent(store, "flow", "count", "any/thing é") == ("r1", "print")
    assert request_entity.opened(store, "node1") == [("flow", "r1")]


def test_an_unknown_client_key_stands_for_nothing(store: MemoryStore) -> None:
    assert request_entity.idempotent(store, "flow", "count", "key") is None


def test_open_in_finds_the_open_requests_of_a_workflow_on_all_nodes(store: MemoryStore) -> None:
    for number, workflow in enumerate(["flow", "other", "flow", "flow"]):
        one = request(f"r{number}", workflow_name=workflow)
        store.commit(request_entity.accept_writes(one, f"node{number}"))
    assert request_entity.open_in(store, "flow", 9) == ["r0", "r2", "r3"]
    assert request_entity.open_in(store, "flow", 2) == ["r0", "r2"]
