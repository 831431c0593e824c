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

from jobx.errors import NotFound, StoreRefused
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


def _post(node: LiveNode, request_id: str, kept: object) -> Future[dict[str, Any]]:
    asked = {"workflow": WORKFLOW, "job": "measure", "request_id": request_id, "wait_s": 60.0}
    return node.ask_later("submit", **asked, arguments=kept)


def _syncing(monkeypatch: pytest.MonkeyPatch, call: Callable[[], None]) -> None:
    """Have something called before arguments are synced."""
    real = os.fsync

    def sync(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith(f"/{root_input.BLOB}"):
            call()
        real(descriptor)

    monkeypatch.setattr(blob_file.os, "fsync", sync)


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
    faults = [OSError(errno.EIO, "Input/output error")]

    def fail_once() -> None:
        if faults:
            raise faults.pop()

    _syncing(monkeypatch, fail_once)
    kept = [_arguments(tmp_path, one, tmp_path / one) for one in IDS]
    refused = _post(node, IDS[0], kept[0])
    with pytest.raises(StoreRefused):
        refused.result(60)
    assert not (tmp_path / "blobs" / WORKFLOW / IDS[0] / root_input.BLOB).exists()
    with pytest.raises(NotFound):
        node.ask("request.get", workflow=WORKFLOW, request_id=IDS[0])
    good = _post(node, IDS[1], kept[1])
    assert pairs_of(outcome_of(good)) == [("length", len(TEXT))]
