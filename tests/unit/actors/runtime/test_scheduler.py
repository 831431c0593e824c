from __future__ import annotations

import asyncio

import pytest

from jobx.actors.runtime.scheduler import LoopScheduler
from jobx.errors import Draining, InternalError
from tests.support.virtual_time import VirtualScheduler


def rung(seed: int | None) -> list[int]:
    scheduler = VirtualScheduler(seed)
    order: list[int] = []
    for number in range(20):
        scheduler.call_later(1.0, lambda number=number: order.append(number))
    scheduler.advance(1.0)
    return order


def test_timers_of_one_instant_ring_in_order_without_a_seed() -> None:
    assert rung(None) == list(range(20))


def test_timers_of_one_instant_ring_in_an_order_that_the_seed_fixes() -> None:
    assert rung(1) == rung(1) != rung(2)
    assert sorted(rung(1)) == list(range(20))


def test_virtual_time_stands_at_each_timer_while_it_rings() -> None:
    scheduler = VirtualScheduler()
    times: list[float] = []
    scheduler.call_later(
        1.0, lambda: scheduler.call_later(1.0, lambda: times.append(scheduler.now()))
    )
    scheduler.advance(5.0)
    assert times == [2.0]
    assert scheduler.now() == 5.0


def test_a_cancelled_timer_does_not_ring() -> None:
    scheduler = VirtualScheduler()
    rings: list[int] = []
    scheduler.call_later(1.0, lambda: rings.append(1)).cancel()
    scheduler.advance(2.0)
    assert rings == []


def test_a_simulation_without_an_end_is_refused() -> None:
    scheduler = VirtualScheduler(max_calls=100)

    def again() -> None:
        scheduler.call_soon(again)

    again()
    with pytest.raises(InternalError):
        scheduler.run_until_idle()


def test_a_call_into_a_loop_that_has_ended_is_refused() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    with pytest.raises(Draining):
        LoopScheduler(loop).call_from_thread(lambda: None)


def test_a_loop_scheduler_knows_whether_it_is_current() -> None:
    async def both() -> tuple[bool, bool]:
        scheduler = LoopScheduler(asyncio.get_running_loop())
        return scheduler.is_current(), await asyncio.to_thread(scheduler.is_current)

    assert asyncio.run(both()) == (True, False)
