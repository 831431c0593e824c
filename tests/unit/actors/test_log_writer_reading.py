"""A log is read behind what is being written to it."""

from __future__ import annotations

import pytest

from jobx import entity_json
from jobx.actors import log_writer
from jobx.actors.messages import CommitRefused, Committed, LogRead
from jobx.actors.request.events import Cancelled, to_record
from jobx.errors import NotFound
from jobx.kv import keys
from jobx.kv.requests import event_log, request_entity
from jobx.kv.store import Put
from tests.unit.actors.log_bench import FULL, A, Bench, C, bench, in_loop, until
from tests.unit.actors.request.driver import PLAN
from tests.unit.actors.test_log_reader import ACCEPTED, REQUEST, accepted

pytestmark = pytest.mark.usefixtures("_retry_soon")


def _reading(b: Bench, number: int) -> None:
    """Append an acceptance that nobody hurries, then read the log for a new owner."""
    writes = [
        *request_entity.accept_writes(REQUEST, "n"),
        Put(keys.plan("flow", "digest"), entity_json.encode(PLAN)),
        event_log.event_write(*A, 0, to_record(ACCEPTED)),
    ]
    b.writer.append(A, b.owners[A], number, writes, urgent=False)
    b.writer.read(A, b.owners[C])


@in_loop
async def test_reading_comes_after_what_is_being_written() -> None:
    async with bench() as b:
        accepted(b.store, ACCEPTED)
        b.store.commit([Put(keys.plan("flow", "digest"), entity_json.encode(PLAN))])
        b.store.gate.clear()
        second = event_log.event_write("flow", "a", 1, to_record(Cancelled(2.0, "why")))
        b.writer.append(A, b.owners[A], 1, [second], True)
        await until(lambda: len(b.store.commits) == 3)
        b.writer.read(A, b.owners[C])
        b.store.gate.set()
        _, (reader, answer) = await b.hears(2)
        assert reader == C
        assert answer == LogRead(A, REQUEST, PLAN, [ACCEPTED, Cancelled(2.0, "why")], 2)


@in_loop
async def test_what_was_appended_is_written_before_a_new_owner_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_writer, "LAZY_S", 3600.0)
    async with bench() as b:
        _reading(b, 0)
        (_, committed), (reader, found) = await b.hears(2)
        assert (committed, reader) == (Committed(0), C)
        assert isinstance(found, LogRead)
        assert found.events == [ACCEPTED]


@in_loop
async def test_a_new_owner_reads_that_nothing_is_there_when_it_was_refused() -> None:
    async with bench() as b:
        b.store.errors = [FULL]
        _reading(b, 0)
        (_, refused), (_, found) = await b.hears(2)
        assert isinstance(refused, CommitRefused)
        assert isinstance(found, LogRead)
        assert isinstance(found.error, NotFound)


@in_loop
async def test_a_new_owner_may_append_though_the_one_before_was_refused() -> None:
    async with bench() as b:
        b.store.errors = [FULL]
        _reading(b, 0)
        await b.hears(2)
        b.append(A, 0)
        assert (await b.hears(3))[2] == (A, Committed(0))
