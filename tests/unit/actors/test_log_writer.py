"""What goes into one commit, and what a conflict of one request does to the others."""

from __future__ import annotations

import pytest

from jobx.actors.messages import CommitRefused, Committed
from jobx.errors import Conflict
from jobx.kv.store import Put
from tests.support.waiting import after
from tests.unit.actors.log_bench import A, B, C, bench, in_loop, until

pytestmark = pytest.mark.usefixtures("_retry_soon")


@in_loop
async def test_what_is_appended_in_one_turn_is_one_commit() -> None:
    async with bench() as b:
        b.append(A, 0)
        b.append(B, 0)
        b.append(A, 1)
        assert await b.hears(2) == [(A, Committed(1)), (B, Committed(0))]
        assert b.store.commits == [[["a0", "a1"], ["b0"]]]


@in_loop
async def test_what_is_appended_during_a_commit_goes_with_the_next_one() -> None:
    async with bench() as b:
        b.store.gate.clear()
        b.append(A, 0)
        await until(lambda: b.store.commits)
        b.append(B, 0, urgent=False)
        b.append(A, 1)
        b.append(A, 2)
        b.store.gate.set()
        assert await b.hears(3) == [(A, Committed(0)), (B, Committed(0)), (A, Committed(2))]
        assert b.store.commits == [[["a0"]], [["b0"], ["a1", "a2"]]]


@in_loop
async def test_what_is_not_urgent_waits_for_what_is(_never_lazy: None) -> None:
    async with bench() as b:
        b.append(A, 0, urgent=False)
        assert not await b.writer.drain(after(0.02))
        b.append(B, 0, urgent=True)
        b.append(C, 0, urgent=False)
        assert await b.writer.drain(after(60.0))
        assert b.store.commits == [[["a0"], ["b0"], ["c0"]]]


@in_loop
async def test_the_loop_is_hurried_to_a_commit_that_can_begin() -> None:
    async with bench() as b:
        b.append(A, 0, urgent=False)
        seen = [b.hurried]
        b.append(B, 0)
        b.append(C, 0)
        seen.append(b.hurried)
        assert await b.writer.drain(after(60.0))
        assert seen == [0, 1]


@in_loop
async def test_what_is_not_urgent_is_written_all_the_same() -> None:
    async with bench() as b:
        b.append(A, 0, urgent=False)
        b.append(B, 0, urgent=False)
        assert await b.hears(2) == [(A, Committed(0)), (B, Committed(0))]
        assert len(b.store.commits) == 1


@in_loop
async def test_a_conflict_of_one_request_leaves_the_others() -> None:
    async with bench() as b:
        b.store.commit([Put("b3", b"of somebody else")])
        for key in (A, B, C):
            b.append(key, 3)
        heard = await b.hears(3)
        assert [key for key, _ in heard] == [A, B, C]
        assert heard[0][1] == heard[2][1] == Committed(3)
        refused = heard[1][1]
        assert isinstance(refused, CommitRefused)
        assert isinstance(refused.error, Conflict)


@in_loop
async def test_a_log_never_goes_on_behind_a_conflict() -> None:
    async with bench() as b:
        b.store.commit([Put("a3", b"of somebody else")])
        b.store.gate.clear()
        b.append(A, 3)
        await until(lambda: len(b.store.commits) == 2)
        b.append(A, 4)
        b.store.gate.set()
        await b.hears(1)
        b.append(A, 5)
        b.append(B, 0)
        await b.hears(2)
        assert b.stored() == ["a3", "b0"]


@in_loop
async def test_a_request_that_is_forgotten_can_be_taken_up_again() -> None:
    async with bench() as b:
        b.store.commit([Put("a3", b"of somebody else")])
        b.append(A, 3)
        await b.hears(1)
        b.writer.forget(A)
        b.append(A, 4)
        assert (await b.hears(2))[1] == (A, Committed(4))


@in_loop
async def test_what_is_forgotten_is_not_written(_never_lazy: None) -> None:
    async with bench() as b:
        b.append(A, 0, urgent=False)
        b.writer.forget(A)
        b.append(B, 0)
        assert await b.hears(1) == [(B, Committed(0))]
        assert b.stored() == ["b0"]


@in_loop
async def test_nobody_hears_of_a_refusal_of_what_was_forgotten_meanwhile() -> None:
    async with bench() as b:
        b.store.commit([Put("a3", b"of somebody else")])
        b.store.gate.clear()
        b.append(A, 3)
        await until(lambda: len(b.store.commits) == 2)
        b.writer.forget(A)
        b.append(A, 4)
        b.store.gate.set()
        assert await b.hears(1) == [(A, Committed(4))]


@in_loop
async def test_closing_stops_what_waits(_never_lazy: None) -> None:
    async with bench() as b:
        b.append(A, 0, urgent=False)
        b.writer.close()
        assert b.store.commits == []
