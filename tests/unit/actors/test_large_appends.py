from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from jobx.actors import large_appends
from jobx.actors.log_writer import LogWriter
from jobx.actors.messages import CommitRefused, Committed, RequestKey
from jobx.errors import JobxError, StoreUnavailable
from jobx.kv.blobs import BlobFolder
from jobx.kv.large_events import EVENT_BYTES, LargeEvents
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import event_log
from tests.support.waiting import after
from tests.unit.actors.log_bench import in_loop, until

A, B = (RequestKey("flow", name) for name in ("a", "b"))
FAULT = StoreUnavailable("the place does not answer")


class Place(BlobFolder):
    """A place of blobs that may hang, and then fails for a while."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.gate = threading.Event()
        self.faults: list[JobxError] = []

    def put(self, workflow: str, request_id: str, name: str, body: bytes) -> None:
        assert self.gate.wait(60)
        if self.faults:
            raise self.faults.pop()
        super().put(workflow, request_id, name, body)


class Bench:
    """A log writer whose blobs go to a place, and what owners hear."""

    def __init__(self, folder: Path) -> None:
        self.place = Place(folder)
        self.store = LargeEvents(MemoryStore(), self.place)
        self.heard: list[tuple[object, object]] = []
        self.writer = LogWriter(
            self.store, asyncio.get_running_loop(), lambda *said: self.heard.append(said)
        )

    def append(
        self,
        key: RequestKey,
        number: int,
        *,
        is_large: bool = False,
        first: Callable[[], object] | None = None,
    ) -> None:
        record = {"event": "done", "reason": "x" * (EVENT_BYTES + 1 if is_large else 1)}
        unit = [event_log.event_write(*key, number, record)]
        self.writer.append(key, key.request_id, number, unit, True, first=first)

    async def hears(self, count: int) -> list[tuple[object, object]]:
        await until(lambda: len(self.heard) >= count)
        return self.heard

    def close(self) -> None:
        self.place.gate.set()
        self.writer.close()


@pytest.fixture(autouse=True)
def _retry_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_appends, "RETRY_S", (0.001, 0.002))


@in_loop
async def test_nobody_waits_for_the_blob_of_another_request(tmp_path: Path) -> None:
    b = Bench(tmp_path)
    b.append(A, 1, is_large=True)
    b.append(B, 0)
    assert await b.hears(1) == [("b", Committed(0))]
    b.close()


@in_loop
async def test_what_follows_a_large_event_is_written_after_it(tmp_path: Path) -> None:
    b = Bench(tmp_path)
    for number in range(4):
        b.append(A, number, is_large=number in (1, 2))
    await b.hears(1)
    b.place.gate.set()
    await until(lambda: b.heard[-1] == ("a", Committed(3)))
    assert [number for number, _ in event_log.read(b.store, *A)] == [0, 1, 2, 3]
    b.close()


@in_loop
async def test_a_blob_of_an_accepted_request_is_tried_until_it_is_written(tmp_path: Path) -> None:
    b = Bench(tmp_path)
    b.place.faults = [FAULT] * 3
    b.place.gate.set()
    b.append(A, 1, is_large=True)
    assert await b.hears(1) == [("a", Committed(1))]
    b.close()


@in_loop
async def test_a_new_request_whose_blob_fails_is_refused_alone(tmp_path: Path) -> None:
    b = Bench(tmp_path)
    b.place.faults = [FAULT]
    b.place.gate.set()
    b.append(A, 0, is_large=True)
    assert await b.hears(1) == [("a", CommitRefused(FAULT))]
    b.append(A, 1)
    b.append(B, 0)
    assert (await b.hears(2))[1:] == [("b", Committed(0))]
    assert b.writer.faults.stalled is None
    b.close()


@in_loop
async def test_what_must_be_done_first_has_ended_before_anything_is_written(tmp_path: Path) -> None:
    b, gate = Bench(tmp_path), threading.Event()
    b.append(A, 0, first=lambda: gate.wait(60))
    b.append(A, 1)
    b.append(B, 0)
    assert await b.hears(1) == [("b", Committed(0))]
    assert list(event_log.read(b.store, *A)) == []
    gate.set()
    await until(lambda: b.heard[-1] == ("a", Committed(1)))
    assert [number for number, _ in event_log.read(b.store, *A)] == [0, 1]
    b.close()


@in_loop
async def test_a_large_event_is_written_after_what_must_be_done_first(tmp_path: Path) -> None:
    b, called = Bench(tmp_path), []
    b.place.gate.set()
    b.append(A, 0, is_large=True, first=lambda: called.append(list(tmp_path.iterdir())))
    assert await b.hears(1) == [("a", Committed(0))]
    assert called == [[]]
    b.close()


@in_loop
async def test_what_waits_for_a_blob_is_not_drained(tmp_path: Path) -> None:
    b = Bench(tmp_path)
    b.append(A, 1, is_large=True)
    assert not await b.writer.drain(after(0.02))
    b.place.gate.set()
    assert await b.writer.drain(after(60.0))
    b.close()


@in_loop
async def test_what_is_forgotten_while_it_waits_is_not_written(tmp_path: Path) -> None:
    b = Bench(tmp_path)
    b.append(A, 1, is_large=True)
    b.writer.forget(A)
    b.place.gate.set()
    b.append(A, 0)
    assert await b.hears(1) == [("a", Committed(0))]
    await asyncio.sleep(0.02)
    assert [number for number, _ in event_log.read(b.store, *A)] == [0]
    b.close()
