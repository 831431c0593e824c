from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from jobx.errors import BlobUnreadable, Conflict, EntryDamaged, JobxError, StoreFull
from jobx.kv import keys
from jobx.kv.blobs import BlobFolder
from jobx.kv.large_events import EVENT_BYTES, LargeEvents, pointer_in
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import event_log
from jobx.kv.store import CommitOutcome, Create, Limits, Put, Unit

NAMES = "flow", "r1"
BIG = {"event": "done", "at": 1.0, "notes": {0: {"output": "x" * (EVENT_BYTES + 1)}}}
SMALL = {"event": "cancelled", "at": 1.0, "reason": "why"}


def event(number: int, record: dict[str, object] = BIG) -> Unit:
    return [event_log.event_write(*NAMES, number, record)]


class FullBlobs(BlobFolder):
    """Has no room for the blob of event 1."""

    def put(self, workflow: str, request_id: str, name: str, body: bytes) -> None:
        if "0000000001" in name:
            raise StoreFull("disk", "full")
        super().put(workflow, request_id, name, body)


@pytest.fixture
def blobs(tmp_path: Path) -> BlobFolder:
    return BlobFolder(tmp_path / "blobs")


@pytest.fixture
def store(blobs: BlobFolder) -> LargeEvents:
    return LargeEvents(MemoryStore(limits=Limits(size_bytes=EVENT_BYTES)), blobs)


def files(store: LargeEvents, blobs: BlobFolder) -> list[Path]:
    return sorted(blobs.path(*NAMES).iterdir())


def test_a_large_event_comes_back_in_its_place(store: LargeEvents) -> None:
    outcomes = store.commit_many([[event(0, SMALL), event(1), event(2, SMALL)]])
    assert (outcomes[0].done, outcomes[0].error) == (3, None)
    assert [*event_log.read(store, *NAMES)] == [(0, SMALL), (1, BIG), (2, SMALL)]


def test_a_single_unit_may_have_a_large_event_too(store: LargeEvents) -> None:
    store.commit(event(0))
    assert [*event_log.read(store, *NAMES)] == [(0, BIG)]


def test_an_entry_of_a_large_event_has_its_kind_and_its_place(
    store: LargeEvents, blobs: BlobFolder
) -> None:
    store.commit(event(0))
    (entry,) = store.range(keys.REQUESTS)
    pointer = pointer_in(entry.value)
    assert pointer is not None and len(entry.value) < 200
    (file,) = files(store, blobs)
    assert (pointer.event, pointer.blob) == ("done", file.name)
    assert pointer.size_bytes == file.stat().st_size
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("record", [SMALL, {"event": "blob", "reason": "blob"}])
def test_a_small_event_is_an_entry(
    record: dict[str, object], store: LargeEvents, blobs: BlobFolder
) -> None:
    store.commit(event(0, record))
    assert not blobs.path(*NAMES).exists()
    assert [*event_log.read(store, *NAMES)] == [(0, record)]


def test_what_is_no_event_stays_where_it_is(blobs: BlobFolder) -> None:
    store = LargeEvents(MemoryStore(), blobs)
    body = b"x" * (2 * EVENT_BYTES)
    store.commit([Create("entities/a", body), Put("b", body), *event(0)])
    assert [entry.value for entry in store.range("")][:2] == [body, body]


def test_an_event_is_its_own_however_often_it_is_written(store: LargeEvents) -> None:
    store.commit(event(0))
    with pytest.raises(Conflict):
        store.commit(event(0))
    (entry,) = event(0)
    found = store.get(keys.event(*NAMES, 0))
    assert isinstance(entry, Create) and found is not None and found.value == entry.value


def test_another_event_of_that_number_does_not_touch_the_first(store: LargeEvents) -> None:
    store.commit(event(0))
    with pytest.raises(Conflict):
        store.commit(event(0, {**BIG, "at": 2.0}))
    assert [*event_log.read(store, *NAMES)] == [(0, BIG)]


def test_a_chain_ends_before_the_event_whose_blob_finds_no_room(tmp_path: Path) -> None:
    store = LargeEvents(MemoryStore(), FullBlobs(tmp_path))
    chains = [[event(0, SMALL), event(1)], [[Create("b", b"")]], [event(1)]]
    first, second, third = store.commit_many(chains)
    assert (first.done, type(first.error)) == (1, StoreFull)
    assert (second.done, second.error) == (1, None)
    assert (third.done, type(third.error)) == (0, StoreFull)
    assert [*event_log.read(store, *NAMES)] == [(0, SMALL)]


def test_a_unit_without_writes_is_written(store: LargeEvents) -> None:
    assert store.commit_many([[[], event(0)]]) == [CommitOutcome(2)]


def test_the_kinds_of_events_are_read_without_their_blobs(
    store: LargeEvents, blobs: BlobFolder
) -> None:
    store.commit_many([[event(0, SMALL), event(1)]])
    blobs.remove(*NAMES)
    assert [*event_log.kinds(store, *NAMES)] == ["cancelled", "done"]


def _flip(file: Path) -> None:
    body = bytearray(file.read_bytes())
    body[len(body) // 2] ^= 1
    file.write_bytes(body)


@pytest.mark.parametrize(
    "damage",
    [_flip, Path.unlink, lambda file: os.truncate(file, 10), lambda file: file.write_bytes(b"")],
)
def test_a_damaged_blob_is_damage_of_its_entry(
    damage: Callable[[Path], object], store: LargeEvents, blobs: BlobFolder
) -> None:
    store.commit(event(0))
    damage(files(store, blobs)[0])
    with pytest.raises(EntryDamaged, match=r"log/0000000000 .*event-0000000000"):
        list(event_log.read(store, *NAMES))


def test_a_blob_that_cannot_be_read_now_is_not_damaged(
    store: LargeEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    store.commit(event(0))
    monkeypatch.setattr("jobx.kv.blobs.open_regular", refused)
    with pytest.raises(JobxError) as raised:
        store.get(keys.event(*NAMES, 0))
    assert type(raised.value) is BlobUnreadable
