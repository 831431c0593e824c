"""A real node on a store whose commits go wrong: at every commit, in every way."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from jobx.actors import log_writer
from jobx.actors import node as node_module
from jobx.actors.gateway import finding
from jobx.errors import JobxError, NotFound, OutcomeUnknown, StoreRefused
from jobx.views import Outcome
from tests.support.authoring import COUNT, FAN, WORKFLOW, define
from tests.support.live_node import LiveNode, live_node, pairs_of
from tests.support.lying_store import LIES, Lie, Lies, lying_sqlite, open_markers
from tests.support.waiting import eventually

REQUEST_ID = "01arz3ndektsv4rrffq69g5fav"
#: Waits for a file, so that what comes before is committed without it.
GATED_COUNT = """
import os, time
def handler(key, value):
    yield Return()
    while not os.path.exists("GATE"):
        time.sleep(0.01)
    yield "n", 1
"""
HANDLERS = {"fan": FAN, "count": COUNT}
STEPS = {"fan": ("fan", "sum"), "each": ("count", "sum")}
#: Commits with events that such a request has at least.
COMMITS = 3
#: What nothing was written of is refused at the first commit.
REFUSED_AT_ONCE = {"too large", "full", "refused", "silent", "bug"}
#: What never can be written ends its request by name.
FAILED_LATER = {"too large", "bug"}


def _post(node: LiveNode, lies: Lies, gate: Path) -> str:
    """Start a request and return the state that it ends in, or the code that refused it.

    Its counts go on once all commits but the last have begun.
    """
    try:
        node.post("fan", {"n": 3}, request_id=REQUEST_ID, is_blocking=False)
    except JobxError as error:
        gate.touch()
        return error.code

    def ended() -> str | None:
        if lies.events >= COMMITS - 1:
            gate.touch()
        return _ended(node)

    state = eventually(ended, timeout_s=60)
    gate.touch()  # a request that failed early has not opened it, and others go through it
    return state


def _ended(node: LiveNode) -> str | None:
    try:
        found = node.ask("request.get", workflow=WORKFLOW, request_id=REQUEST_ID)
    except (NotFound, OutcomeUnknown):
        return None
    return None if found["state"] == "running" else str(found["state"])


@pytest.mark.parametrize("number", range(COMMITS))
@pytest.mark.parametrize("lie", LIES)
def test_no_request_is_left_running_whatever_a_commit_ends_with(
    lie: Lie, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = tmp_path / "gate"
    define(tmp_path, {**HANDLERS, "count": GATED_COUNT.replace("GATE", str(gate))}, STEPS)
    lies = Lies({number: lie})
    monkeypatch.setattr(node_module, "open_store", lying_sqlite(lies))
    with live_node(tmp_path) as node:
        state = _post(node, lies, gate)
        if number == 0 and lie in REFUSED_AT_ONCE:
            assert state not in ("succeeded", "failed")
        elif lie in FAILED_LATER:
            assert state == "failed"
        else:
            assert state == "succeeded"
            assert lies.events > number
        assert eventually(node.is_idle, timeout_s=60)
        eventually(lambda: open_markers(node.node._store) == [])
        assert eventually(lambda: _succeeds(node), timeout_s=60)


def _succeeds(node: LiveNode) -> bool:
    try:
        return pairs_of(node.post("fan", {"n": 3})) == [("n", 3)]
    except JobxError:  # it is not looked yet whether the store takes anything again
        return False


def test_what_the_store_has_not_answered_is_told_as_unknown_by_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    define(tmp_path, HANDLERS, STEPS)
    lies = Lies(dict.fromkeys(range(100), "lost, unanswered"))
    monkeypatch.setattr(node_module, "open_store", lying_sqlite(lies))
    with live_node(tmp_path) as node:
        with pytest.raises(OutcomeUnknown, match=REQUEST_ID):
            node.post("fan", {"n": 3}, request_id=REQUEST_ID, wait_s=0.1)
        lies.due.clear()
        outcome = eventually(lambda: _waited(node), timeout_s=60)
        assert pairs_of(outcome) == [("n", 3)]


def test_what_is_accepted_later_was_not_told_as_missing_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    define(tmp_path, HANDLERS, STEPS)
    lies = Lies(dict.fromkeys(range(100), "lost, unanswered"))
    monkeypatch.setattr(node_module, "open_store", lying_sqlite(lies))
    monkeypatch.setattr(finding, "ANSWER_S", 0.1)
    with live_node(tmp_path) as node:
        with pytest.raises(OutcomeUnknown, match=REQUEST_ID):
            node.post("fan", {"n": 3}, request_id=REQUEST_ID, is_blocking=False)
        with pytest.raises(OutcomeUnknown, match=REQUEST_ID):
            node.ask("request.result", workflow=WORKFLOW, request_id=REQUEST_ID)
        lies.due.clear()
        assert eventually(lambda: _ended(node), timeout_s=60) == "succeeded"


def _waited(node: LiveNode) -> Outcome | None:
    try:
        return _result(node)
    except OutcomeUnknown:
        return None


def _result(node: LiveNode) -> Outcome | None:
    answer = node.ask("wait", workflow=WORKFLOW, request_id=REQUEST_ID, wait_s=5.0)
    outcome = msgspec.convert(answer, Outcome)
    return outcome if outcome.result is not None else None


def _is_ready(node: LiveNode) -> bool:
    return node.ask("node.ready")["trouble"] is None


def test_a_dead_disk_is_told_once_and_forgotten_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    define(tmp_path, HANDLERS, STEPS)
    lies = Lies({})
    monkeypatch.setattr(node_module, "open_store", lying_sqlite(lies))
    monkeypatch.setattr(log_writer, "PROBE_S", 0.05)
    with live_node(tmp_path) as node:
        assert _is_ready(node)
        lies.is_dead = True
        assert eventually(lambda: not _is_ready(node), timeout_s=60)
        with pytest.raises(StoreRefused, match="read-only"):
            node.post("fan", {"n": 3})
        lies.is_dead = False
        assert eventually(lambda: _is_ready(node), timeout_s=60)
        assert pairs_of(node.post("fan", {"n": 3})) == [("n", 3)]
    told = [record.getMessage() for record in caplog.records]
    assert sum("the store takes no writes" in line for line in told) == 1
    assert sum("the store takes writes again" in line for line in told) == 1
    assert sum("store.stalled" in line for line in told) == 1
    assert sum("store.back" in line for line in told) == 1
