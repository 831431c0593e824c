"""Large arguments that a web worker wrote and the node syncs, while their mapper runs."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from jobx.actors.coordination import coordinator
from jobx.actors.gateway import finding
from jobx.actors.messages import Ran
from jobx.errors import InternalError, NotFound, OutcomeUnknown, StoreRefused
from jobx.handlers.blobs import blob_file
from jobx.handlers.pairs import root_input
from jobx.kv.blobs import BlobFolder
from jobx.kv.requests import event_log
from tests.support.authoring import WORKFLOW
from tests.support.live_node import LiveNode, Start, outcome_of, pairs_of
from tests.support.waiting import eventually

IDS = ("01arz3ndektsv4rrffq69g5fav", "01arz3ndektsv4rrffq69g5fb0")
#: Leaves a file, and returns the length of a text.
MEASURE = """
def handler(text, mark):
    yield Return()
    open(mark, "w").close()
    yield "length", len(text)
"""
HANDLERS = {"measure": MEASURE}, {"measure": ("measure", "sum")}
TEXT = "x" * 300_000


def _arguments(data_dir: Path, request_id: str, mark: Path) -> object:
    """Write arguments as a web worker does, and return what it tells the node of them."""
    item = root_input.pack({"text": TEXT, "mark": str(mark)})
    inputs = root_input.RootInputs(BlobFolder(data_dir / "blobs"), inline_bytes=1000)
    return inputs.keep(WORKFLOW, request_id, item, may_sync_later=True)


def _post(
    node: LiveNode, request_id: str, arguments: object, **more: Any
) -> Future[dict[str, Any]]:
    asked = {"workflow": WORKFLOW, "job": "measure", "request_id": request_id, "wait_s": 60.0}
    return node.ask_later("submit", **asked, arguments=arguments, **more)


def _syncing(monkeypatch: pytest.MonkeyPatch, call: Callable[[], None]) -> None:
    """Have something called before arguments are synced."""
    real = os.fsync

    def sync(descriptor: int) -> None:
        name = os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))
        if name.startswith(root_input.BLOB):  # or a draft of it
            call()
        real(descriptor)

    monkeypatch.setattr(blob_file.os, "fsync", sync)


def _fail() -> None:
    raise OSError(errno.EIO, "Input/output error")


def _blob(data_dir: Path, request_id: str) -> Path:
    return data_dir / "blobs" / WORKFLOW / request_id / root_input.BLOB


def test_a_mapper_runs_while_its_arguments_are_synced_and_no_event_is_written(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, mark, gate = start(*HANDLERS), tmp_path / "mark", threading.Event()
    _syncing(monkeypatch, lambda: _pass(gate))
    kept = _arguments(tmp_path, IDS[0], mark)
    try:
        future = _post(node, IDS[0], kept)
        assert eventually(mark.exists)
        other = node.post("measure", {"text": "y", "mark": str(tmp_path / "other")})
        assert pairs_of(other) == [("length", 1)]
        assert not future.done()
        assert list(event_log.read(node.node._store, WORKFLOW, IDS[0])) == []
    finally:
        gate.set()
    assert pairs_of(outcome_of(future)) == [("length", len(TEXT))]


def _pass(gate: threading.Event) -> None:
    assert gate.wait(60)


def test_a_request_whose_arguments_cannot_be_synced_is_refused_and_nothing_of_it_is_kept(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = start(*HANDLERS)
    faults = [_fail]

    def fail_once() -> None:
        if faults:
            faults.pop()()

    _syncing(monkeypatch, fail_once)
    kept = [_arguments(tmp_path, one, tmp_path / one) for one in IDS]
    refused = _post(node, IDS[0], kept[0])
    with pytest.raises(StoreRefused):
        refused.result(60)
    assert not _blob(tmp_path, IDS[0]).exists()
    with pytest.raises(NotFound):
        node.ask("request.get", workflow=WORKFLOW, request_id=IDS[0])
    good = _post(node, IDS[1], kept[1])
    assert pairs_of(outcome_of(good)) == [("length", len(TEXT))]


def test_arguments_of_an_accepted_request_are_not_touched_when_it_is_asked_for_again(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, mark = start(*HANDLERS), tmp_path / "mark"
    packed = root_input.pack({"text": TEXT, "mark": str(mark)})
    asked = {IDS[0]: _arguments(tmp_path, IDS[0], mark), IDS[1]: packed}
    for one, arguments in asked.items():
        assert pairs_of(outcome_of(_post(node, one, arguments))) == [("length", len(TEXT))]
    _syncing(monkeypatch, _fail)
    for one, arguments in asked.items():
        again = outcome_of(_post(node, one, arguments, was_sent=True))
        assert pairs_of(again) == [("length", len(TEXT))]
        assert _blob(tmp_path, one).read_bytes() == packed


def test_arguments_whose_sync_may_have_failed_with_a_node_are_written_anew(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, synced = start(*HANDLERS), list[int]()
    kept, blob = _arguments(tmp_path, IDS[0], tmp_path / "mark"), _blob(tmp_path, IDS[0])
    body, before = blob.read_bytes(), blob.stat()
    _syncing(monkeypatch, lambda: synced.append(1))
    again = outcome_of(_post(node, IDS[0], kept, was_sent=True))
    assert pairs_of(again) == [("length", len(TEXT))]
    assert (len(synced), blob.read_bytes()) == (1, body)
    assert blob.stat().st_ino != before.st_ino


def _cut(blob: Path) -> None:
    os.truncate(blob, 100)


def test_arguments_that_cannot_be_written_anew_are_refused_and_not_kept(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, blob = start(*HANDLERS), _blob(tmp_path, IDS[0])
    _syncing(monkeypatch, _fail)
    for damage in (Path.unlink, _cut, lambda _: None):
        kept = _arguments(tmp_path, IDS[0], tmp_path / "mark")
        damage(blob)
        with pytest.raises(StoreRefused):
            _post(node, IDS[0], kept, was_sent=True).result(60)
        with pytest.raises(NotFound):
            node.ask("request.get", workflow=WORKFLOW, request_id=IDS[0])
        assert not blob.parent.exists()


def test_a_caller_that_does_not_wait_learns_the_id_when_a_sync_takes_long(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, gate = start(*HANDLERS), threading.Event()
    monkeypatch.setattr(finding, "ANSWER_S", 0.05)
    _syncing(monkeypatch, lambda: _pass(gate))
    kept = _arguments(tmp_path, IDS[0], tmp_path / "mark")
    try:
        for was_sent in (False, True):
            asked = _post(node, IDS[0], kept, is_blocking=False, was_sent=was_sent)
            with pytest.raises(OutcomeUnknown, match=IDS[0]):
                asked.result(60)
    finally:
        gate.set()
        monkeypatch.setattr(finding, "ANSWER_S", 60.0)
    later = outcome_of(_post(node, IDS[0], kept, was_sent=True))
    assert pairs_of(later) == [("length", len(TEXT))]


def test_a_sync_that_fails_after_its_caller_was_told_leaves_nothing(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, gate = start(*HANDLERS), threading.Event()
    monkeypatch.setattr(finding, "ANSWER_S", 0.05)

    def fail_later() -> None:
        _pass(gate)
        _fail()

    _syncing(monkeypatch, fail_later)
    kept = _arguments(tmp_path, IDS[0], tmp_path / "mark")
    try:
        with pytest.raises(OutcomeUnknown, match=IDS[0]):
            _post(node, IDS[0], kept, is_blocking=False).result(60)
    finally:
        gate.set()
    assert eventually(lambda: not _blob(tmp_path, IDS[0]).exists())
    assert eventually(node.is_idle)
    with pytest.raises(NotFound):
        node.ask("request.get", workflow=WORKFLOW, request_id=IDS[0])


def test_a_coordinator_that_dies_during_a_sync_leaves_its_caller_to_look(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, mark, gate = start(*HANDLERS), tmp_path / "mark", threading.Event()

    def fail(*_: object) -> None:
        raise ArithmeticError("a fault of ours")

    monkeypatch.setitem(coordinator._RECEIVE, Ran, fail)
    _syncing(monkeypatch, lambda: _pass(gate))
    kept = _arguments(tmp_path, IDS[0], mark)
    try:
        asked = _post(node, IDS[0], kept)
        with pytest.raises(InternalError, match="the coordinator failed"):
            asked.result(60)
    finally:
        gate.set()
    assert list(event_log.read(node.node._store, WORKFLOW, IDS[0])) == []
    assert eventually(node.is_idle)
