"""Requests whose arguments, output and results are far larger than what a store takes at once."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from jobx.kv import keys
from jobx.kv.large_events import pointer_in
from jobx.kv.opening import open_store
from tests.support.authoring import WORKFLOW, define, settings_of
from tests.support.live_node import (
    LiveNode,
    Start,
    failure_of,
    live_node,
    outcome_of,
    pairs_of,
    trace_of,
)
from tests.support.waiting import eventually

pytestmark = pytest.mark.every_store

MIB = 1 << 20
REQUEST_ID = "01arz3ndektsv4rrffq69g5fav"
KEY = {"workflow": WORKFLOW, "request_id": REQUEST_ID}
SIZE = """
def handler(text):
    yield Return()
    yield "size", len(text)
"""
FAN = """
def handler(arguments):
    yield Map("each")
    for number in range(arguments["n"]):
        yield number, arguments.get("gate", "")
"""
#: The last of them waits for a file, if one is named.
TALK = """
import os, time
def handler(key, value):
    print(str(key).rjust(6) * 3400)
    yield Return()
    while value and key == 199 and not os.path.exists(value):
        time.sleep(0.01)
    yield "n", 1
"""
LONG = """
def handler(n):
    yield Return()
    for number in range(n):
        yield "n", "x" * 1000
"""
LIST = """
def handler(results):
    for key, values in results:
        yield key, list(values)
"""
LOUD = """
def handler(arguments):
    yield Return()
    raise ValueError("x" * 2_000_000)
"""
HANDLERS = {"fan": FAN, "talk": TALK}
STEPS = {"fan": ("fan", "sum"), "each": ("talk", "sum")}


def blobs_of(data_dir: Path) -> list[Path]:
    return sorted((data_dir / "blobs" / WORKFLOW / REQUEST_ID).glob("event-*"))


def test_arguments_of_megabytes_arrive(start: Start) -> None:
    node = start({"size": SIZE}, {"size": ("size", "sum")})
    assert pairs_of(node.post("size", {"text": "x" * (8 * MIB)})) == [("size", 8 * MIB)]


def test_a_result_of_megabytes_arrives(start: Start) -> None:
    node = start({"long": LONG, "list": LIST}, {"long": ("long", "list")})
    ((_, found),) = pairs_of(node.post("long", {"n": 4200}))
    assert list(found) == ["x" * 1000] * 4200


def expect_output(node: LiveNode) -> None:
    """Expect that each child has what it printed."""
    root = trace_of(node, outcome_of(node.ask_later("wait", **KEY, wait_s=60.0)))
    printed = {child.invocation_id: child.output for child in root.children if child.kind == "map"}
    assert len(printed) == 200
    assert printed["m200"] == str(199).rjust(6) * 3400 + "\n"


def test_children_that_print_much_are_taken(start: Start, tmp_path: Path) -> None:
    node = start(HANDLERS, STEPS)
    outcome = node.post("fan", {"n": 200}, request_id=REQUEST_ID)
    assert pairs_of(outcome) == [("n", 200)]
    assert blobs_of(tmp_path)
    expect_output(node)


def test_a_failure_of_megabytes_fails_its_request(start: Start) -> None:
    node = start({"loud": LOUD}, {"loud": ("loud", "sum")})
    assert failure_of(node.post("loud", {})).type == "ValueError"


def leave_open(tmp_path: Path) -> Path:
    """Stop a node with a request whose log has a large event; return what one child waits for."""
    gate = tmp_path / "gate"
    define(tmp_path, HANDLERS, STEPS)
    with live_node(tmp_path) as node:
        asked = {"n": 200, "gate": str(gate)}
        outcome_of(node.post_later("fan", asked, request_id=REQUEST_ID, is_blocking=False))
        assert eventually(lambda: has_reference(tmp_path))
    return gate


def has_reference(data_dir: Path) -> bool:
    with closing(open_store(settings_of(data_dir))) as store:
        events = store.range(keys.log(WORKFLOW, REQUEST_ID))
        return any(pointer_in(entry.value) for entry in events)


def test_a_request_with_large_events_goes_on_after_a_start(tmp_path: Path) -> None:
    gate = leave_open(tmp_path)
    gate.touch()
    with live_node(tmp_path) as node:
        ended = outcome_of(node.ask_later("wait", **KEY, wait_s=60.0))
        assert pairs_of(ended) == [("n", 200)]
        expect_output(node)


def test_a_lost_blob_of_an_event_is_named(tmp_path: Path) -> None:
    leave_open(tmp_path)
    blobs = blobs_of(tmp_path)
    for blob in blobs:
        blob.unlink()
    with live_node(tmp_path) as node:
        failure = failure_of(outcome_of(node.ask_later("wait", **KEY, wait_s=60.0)))
        assert failure.type == "LogDamaged"
        assert blobs[0].name in failure.message
