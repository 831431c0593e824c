from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from jobx.actors.periodic import Periodic
from jobx.errors import StoreFull


def rounds(call: Callable[[], object], count: int, after: Callable[[], object] = int) -> None:
    """Repeat a call until it was made so often."""
    made = 0

    def counted() -> object:
        nonlocal made
        made += 1
        return call()

    async def run() -> None:
        periodic = Periodic()
        periodic.every(0.001, None, counted, after=after)
        async with asyncio.timeout(60):
            while made < count:
                await asyncio.sleep(0.001)
        periodic.stop()

    asyncio.run(run())


def refuse() -> None:
    raise StoreFull("here", "no room")


def fail() -> None:
    raise ArithmeticError("a fault of ours")


def test_call_is_repeated() -> None:
    rounds(lambda: None, 3)


@pytest.mark.parametrize(("call", "level"), [(refuse, logging.WARNING), (fail, logging.ERROR)])
def test_round_that_fails_is_logged_and_ends_no_further_one(
    call: Callable[[], object], level: int, caplog: pytest.LogCaptureFixture
) -> None:
    rounds(call, 2)
    assert {record.levelno for record in caplog.records} == {level}
    assert "periodic task rounds.counted failed" in caplog.text


def test_what_comes_after_a_call_is_left_out_when_it_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    afters: list[int] = []
    rounds(refuse, 2, lambda: afters.append(1))
    assert (afters, bool(caplog.records)) == ([], True)
