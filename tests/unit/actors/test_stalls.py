"""Stalls of the loop: counted, and named by the place in the code."""

from __future__ import annotations

import asyncio
import sys
import time

import pytest

from jobx import printable
from jobx.actors import stalls
from jobx.actors.stalls import Stalls


def test_a_stall_is_counted_with_its_place() -> None:
    async def stall() -> Stalls:
        watch = Stalls()
        try:
            await asyncio.sleep(2 * stalls.BEAT_S)
            time.sleep(5 * stalls.STALL_S)
            async with asyncio.timeout(60):
                while not watch.count:
                    await asyncio.sleep(stalls.BEAT_S)
        finally:
            watch.stop()
        return watch

    (stalled, *_) = asyncio.run(stall()).places()
    assert stalled.longest_s > stalls.STALL_S
    assert stalled.where


def test_the_place_is_the_innermost_line_of_jobx_and_what_it_called() -> None:
    seen: list[str] = []

    class Told(str):
        """Tells where it is asked for."""

        __slots__ = ()

        def translate(self, _: object) -> str:
            seen.append(stalls.place_of(sys._getframe()))
            return "x"

    printable.line(Told("\x00"))
    assert seen
    assert seen[0].startswith("jobx/printable.py:")
    assert "test_stalls.py" in seen[0]


def test_a_place_outside_of_jobx_is_told_by_its_file() -> None:
    assert stalls.place_of(sys._getframe()).startswith("test_stalls.py:")
    assert stalls.place_of(None) == stalls.UNSEEN


@pytest.mark.parametrize(("late_s", "level"), [(0.2, "INFO"), (1.5, "WARNING")])
def test_only_a_long_stall_is_a_warning(
    late_s: float, level: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        stalls = Stalls()
        stalls._stalled(late_s, "here", 1.0)
        stalls.stop()

    with caplog.at_level("INFO", "jobx.actors.stalls"):
        asyncio.run(main())
    said = [(one.levelname, one.message) for one in caplog.records if "here" in one.message]
    assert said == [(level, f"the loop stood still for {late_s * 1000:.0f} ms: here")]
