"""When executors are started ahead, or missing, by looks that take no time."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobx.actors.executors.process import Executor
from jobx.actors.executors.processes import AHEAD, DOUBT_LOOKS, LOOK_S, ExecutorProcesses
from jobx.errors import InternalError
from jobx.handlers.execution.shared_page import PAGE_BYTES, SharedPage
from jobx.model import Failure
from tests.support.authoring import settings_of

HOUR_S = 3600.0


class Clock:
    """A loop that does nothing later."""

    now = 0.0

    def time(self) -> float:
        return self.now

    def call_later(self, *_: Any) -> None:
        pass


class NoRoom:
    """A fork server that makes no executor; ``ask`` is called each time that it is to."""

    is_up = True
    trouble = None

    def __init__(self, ask: Callable[[int], None]) -> None:
        self._ask = ask
        self.asked = 0

    def check(self) -> None:
        pass

    def spawn(self, number: int) -> None:
        self.asked += 1
        self._ask(number)
        raise InternalError("no room")


def look(processes: ExecutorProcesses, server: Any, times: int) -> None:
    """Look so many times, with the looks' time between."""
    clock: Any = Clock()
    processes._loop, processes._fork_server = clock, server
    for _ in range(times):
        clock.now += LOOK_S
        processes._look()


def new(*, has_seat: bool) -> Executor:
    page = SharedPage(mmap.mmap(-1, PAGE_BYTES))
    return Executor(page, lambda *_: None, lambda *_: None, 0.0, has_seat=has_seat)


@pytest.fixture
def dead() -> list[Failure]:
    return []


@pytest.fixture
def processes(tmp_path: Path, dead: list[Failure]) -> ExecutorProcesses:
    def on_dead(_: Executor, blame: Failure) -> None:
        dead.append(blame)

    settings = settings_of(tmp_path)
    return ExecutorProcesses(settings, {}, tmp_path, on_report=lambda *_: None, on_dead=on_dead)


@pytest.mark.parametrize("is_late", [False, True], ids=["at once", "after it was asked"])
def test_executors_that_cannot_be_made_ahead_are_asked_for_rarely_and_hardly_logged(
    processes: ExecutorProcesses,
    dead: list[Failure],
    caplog: pytest.LogCaptureFixture,
    is_late: bool,
) -> None:
    def die(number: int) -> None:
        """Have one that was asked for not be made."""
        one = new(has_seat=False)
        processes.executors.append(one)
        processes._spawning[number] = one
        processes._not_spawned(number, "no room")

    server = NoRoom(die if is_late else lambda _: None)
    look(processes, server, int(HOUR_S / LOOK_S))
    asked = server.asked
    assert AHEAD.max_restarts < asked < HOUR_S / AHEAD.max_backoff_s + AHEAD.max_restarts + 1
    assert len(caplog.messages) < asked
    assert {blame.message for blame in dead} <= {"the executor could not be made: no room"}
    assert bool(dead) == is_late
    assert processes.executors == []


def test_an_executor_that_is_ready_ends_their_lack_at_once(processes: ExecutorProcesses) -> None:
    look(processes, NoRoom(lambda _: None), DOUBT_LOOKS + 1)
    assert processes.trouble == "no executor is ready"
    one = new(has_seat=True)
    one.enter("ready", 0.0)
    processes.executors.append(one)
    assert processes.trouble is None
