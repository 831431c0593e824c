from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from jobx.actors.commits import commit
from jobx.errors import Conflict
from jobx.kv.blobs import BlobFolder
from jobx.kv.large_events import EVENT_BYTES, LargeEvents
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import event_log
from jobx.kv.store import Chain, CommitOutcome


def chain(text: str) -> Chain:
    return [[event_log.event_write("flow", "r1", 1, {"event": "done", "reason": text})]]


LARGE = chain("a" * (EVENT_BYTES + 1))
OTHER = chain("b" * (EVENT_BYTES + 1))


@pytest.fixture
def store(tmp_path: Path) -> LargeEvents:
    """A store with a large event whose blob is gone."""
    made = LargeEvents(MemoryStore(), BlobFolder(tmp_path / "blobs"))
    assert commit(made, [LARGE]) == [CommitOutcome(1)]
    shutil.rmtree(tmp_path / "blobs")
    return made


@pytest.mark.parametrize("other", [chain("b"), OTHER])
def test_an_event_of_somebody_else_is_a_conflict_though_its_blob_is_gone(
    other: Chain, store: LargeEvents
) -> None:
    (outcome,) = commit(store, [other])
    assert isinstance(outcome.error, Conflict)


def test_an_event_that_was_written_is_told_by_the_name_of_its_blob(store: LargeEvents) -> None:
    assert commit(store, [LARGE]) == [CommitOutcome(1)]


def test_the_reference_of_an_event_that_was_written_is_told_as_well(store: LargeEvents) -> None:
    assert commit(store, [[store.placed(LARGE[0])]]) == [CommitOutcome(1)]
