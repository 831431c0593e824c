"""Stalls of the loop: counted, and named by the place in the code."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from unittest.mock import Mock

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


class Looped:
    """A loop whose timers are rung by hand, and the clocks of what it does.

    Attributes:
        waits: How long each beat was waited for.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = self.used_s = 0.0
        self.waits: list[float] = []
        self._ring: Callable[[], object] = lambda: None
        monkeypatch.setattr(stalls.asyncio, "get_running_loop", lambda: self)
        clocks = Mock(monotonic=lambda: self.now, thread_time=lambda: self.used_s)
        monkeypatch.setattr(stalls, "time", clocks)
        monkeypatch.setattr(stalls, "threading", Mock())

    def call_later(self, delay_s: float, call: Callable[[], object]) -> Mock:
        self.waits.append(delay_s)
        self._ring = call
        return Mock()

    def turn(self, *, used_s: float = 0.0, late_s: float = 0.0) -> None:
        """Ring after what was waited for, and be late."""
        self.now += self.waits[-1] + late_s
        self.used_s += used_s
        self._ring()


def test_an_idle_loop_beats_less_often_until_it_has_work(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Looped(monkeypatch)
    Stalls()
    for _ in range(stalls._RESTS_AFTER):
        loop.turn()
    assert loop.waits[-2:] == [stalls.BEAT_S, stalls.REST_S]
    loop.turn(used_s=2 * stalls._QUIET_S)
    assert loop.waits[-1] == stalls.BEAT_S


def test_a_loop_that_stands_still_is_not_idle_though_it_uses_no_processor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = Looped(monkeypatch)
    Stalls()
    for _ in range(2 * stalls._RESTS_AFTER):
        loop.turn(late_s=2 * stalls.STALL_S)
    assert set(loop.waits) == {stalls.BEAT_S}


def test_a_stall_of_an_idle_loop_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Looped(monkeypatch)
    watch = Stalls()
    for _ in range(stalls._RESTS_AFTER):
        loop.turn()
    loop.turn(late_s=2 * stalls.STALL_S)
    assert watch.count == 1
