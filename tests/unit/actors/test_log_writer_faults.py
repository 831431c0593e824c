"""Commits that go wrong: what is tried again, and what is refused."""

from __future__ import annotations

import asyncio

import pytest

from jobx.actors import commit_faults
from jobx.actors.messages import CommitRefused, Committed
from jobx.errors import JobxError, OutcomeUnknown, StoreRefused, StoreUnavailable
from jobx.kv import keys
from tests.support.waiting import after
from tests.unit.actors.log_bench import FULL, A, B, bench, in_loop, until

pytestmark = pytest.mark.usefixtures("_retry_soon")


SILENT = StoreUnavailable("no answer")
UNKNOWN = OutcomeUnknown("a0", "no answer")


@pytest.mark.parametrize("error", [FULL, StoreUnavailable("no answer")])
@in_loop
async def test_a_store_that_cannot_write_refuses_what_is_new_and_keeps_what_was_accepted(
    error: JobxError,
) -> None:
    async with bench() as b:
        b.store.errors = [error]
        b.append(A, 0)
        b.append(B, 7)
        b.append(B, 8)
        assert await b.hears(2) == [(A, CommitRefused(error)), (B, Committed(8))]
        assert b.stored() == ["b7", "b8"]


@in_loop
async def test_what_was_accepted_is_tried_until_it_is_written_and_in_order() -> None:
    async with bench() as b:
        b.store.errors = [FULL] * 5
        b.store.gate.clear()
        b.append(A, 4)
        await until(lambda: b.store.commits)
        b.append(A, 5)
        b.append(A, 6)
        b.store.gate.set()
        assert await b.hears(1) == [(A, Committed(6))]
        assert b.store.commits[1:] == [[["a4", "a5", "a6"]]] * 5


@in_loop
async def test_the_wait_between_tries_has_a_longest() -> None:
    async with bench() as b:
        b.store.errors = [FULL] * 20
        b.append(A, 4)
        assert await b.hears(1) == [(A, Committed(4))]
        assert len(b.store.commits) == 21


@in_loop
async def test_a_stall_is_told_until_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit_faults, "RETRY_S", (3600.0, 3600.0))
    async with bench() as b:
        b.store.errors = [FULL]
        b.append(A, 1)
        await until(lambda: b.writer.faults.stalled)
        assert b.writer.faults.stalled is FULL
        b.append(A, 2)
        assert not await b.writer.drain(after(0.02))
        assert len(b.store.commits) == 1


@in_loop
async def test_a_stall_ends_with_the_first_commit_that_goes_well() -> None:
    async with bench() as b:
        b.store.errors = [FULL]
        b.append(A, 1)
        await b.hears(1)
        assert b.writer.faults.stalled is None


@in_loop
async def test_requests_are_tried_again_after_all_were_refused() -> None:
    async with bench() as b:
        b.store.errors = [FULL]
        b.append(A, 0)
        await b.hears(1)
        await until(lambda: b.writer.faults.stalled is None)
        b.append(B, 0)
        assert (await b.hears(2))[1] == (B, Committed(0))


@in_loop
async def test_new_requests_wait_for_the_end_of_a_short_fault() -> None:
    async with bench(patience_s=60.0) as b:
        b.store.errors = [UNKNOWN, SILENT, SILENT]
        b.append(A, 0)
        await until(lambda: len(b.store.commits) > 1)
        b.append(B, 0)
        assert await b.hears(2) == [(A, Committed(0)), (B, Committed(0))]
        assert b.writer.faults.stalled is None
        assert b.told == []


@in_loop
async def test_a_new_request_is_not_tried_while_it_is_not_known_whether_anything_can_be() -> None:
    async with bench(patience_s=60.0) as b:
        b.store.errors = [SILENT] * 3
        b.append(A, 0)
        await b.hears(1)
        assert b.store.commits == [[["a0"]], *[[[keys.PROBE]]] * 3, [["a0"]]]


@in_loop
async def test_new_requests_are_refused_when_a_fault_lasts_and_nothing_was_begun_of_them() -> None:
    async with bench(patience_s=0.3) as b:
        b.store.errors = [UNKNOWN, *[SILENT] * 10_000]
        b.append(A, 0)
        await until(lambda: len(b.store.commits) > 2)
        b.append(B, 0)
        ((key, refused),) = await b.hears(1)
        assert key == B
        assert isinstance(refused, CommitRefused)
        assert isinstance(refused.error, StoreUnavailable)
        assert isinstance(b.writer.faults.stalled, StoreUnavailable)
        b.store.errors.clear()
        assert (await b.hears(2))[1] == (A, Committed(0))
        await until(lambda: b.writer.faults.stalled is None)
        assert b.told[0] is not None and b.told[1:] == [None]


@pytest.mark.parametrize("fault", [FULL, StoreRefused("the store", "it is read-only")])
@in_loop
async def test_nobody_waits_for_the_end_of_what_does_not_end_by_itself(fault: JobxError) -> None:
    async with bench(patience_s=60.0) as b:
        b.store.errors = [fault]
        b.append(A, 0)
        assert await b.hears(1) == [(A, CommitRefused(fault))]


@in_loop
async def test_who_comes_during_a_commit_that_hangs_waits_no_longer_than_from_its_begin() -> None:
    async with bench(patience_s=0.05) as b:
        b.store.errors = [UNKNOWN, *[SILENT] * 10_000]
        b.store.gate.clear()
        b.append(A, 0)
        await until(lambda: b.store.commits)
        b.append(B, 0)
        await asyncio.sleep(0.1)
        b.store.gate.set()
        await b.hears(1)
        assert all(["b0"] not in commit for commit in b.store.commits)


@in_loop
async def test_a_request_that_was_refused_leaves_nothing_in_the_store() -> None:
    async with bench() as b:
        b.store.errors = [FULL]
        b.store.gate.clear()
        b.append(A, 0)
        await until(lambda: b.store.commits)
        b.append(A, 1)
        b.store.gate.set()
        await b.hears(1)
        b.append(A, 2)
        b.append(B, 0)
        await b.hears(2)
        assert b.stored() == ["b0"]


@in_loop
async def test_what_was_forgotten_during_a_commit_that_failed_is_not_tried_again() -> None:
    async with bench() as b:
        b.store.errors = [FULL]
        b.store.gate.clear()
        b.append(A, 4)
        await until(lambda: b.store.commits)
        b.writer.forget(A)
        b.append(B, 4)
        b.store.gate.set()
        assert await b.hears(1) == [(B, Committed(4))]
        assert b.stored() == ["b4"]


@in_loop
async def test_a_fault_of_ours_loses_no_accepted_request(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with bench() as b:
        b.store.errors = [ZeroDivisionError()]
        b.append(A, 4)
        assert await b.hears(1) == [(A, Committed(4))]
        assert "a commit failed" in caplog.text
