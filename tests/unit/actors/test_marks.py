from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jobx.actors import marks
from jobx.actors.marks import Marks
from jobx.kv.memory import MemoryStore
from jobx.kv.requests.lives import Mark, OpenRequest


class Later:
    """A thread whose calls are made when the test says so."""

    def __init__(self) -> None:
        self.calls: list[tuple[Callable[[], object], Callable[[Any, Any], None]]] = []

    def call(self, call: Callable[[], object], told: Callable[[Any, Any], None]) -> None:
        self.calls.append((call, told))

    def go_on(self, error: Exception | None = None) -> None:
        call, told = self.calls.pop(0)
        told(call(), error)


class Written:
    """Marks with what was written of them, batch by batch."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.batches: list[list[str]] = []
        self.thread = Later()
        monkeypatch.setattr(marks.lives, "take_up", self._take_up)
        self.marks = Marks(MemoryStore(), self.thread)  # type: ignore[arg-type]  # as a thread

    def _take_up(self, _: object, batch: list[OpenRequest]) -> None:
        self.batches.append([f"{one.request_id}{one.mark.deaths}" for one in batch])

    def add(self, *names: str, deaths: int = 0) -> None:
        self.marks.add([OpenRequest("n", "w", name, Mark(deaths=deaths)) for name in names])


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Written:
    return Written(monkeypatch)


def test_marks_that_come_while_some_are_written_go_out_together(written: Written) -> None:
    written.add("a")
    written.add("b")
    written.add("c", "d")
    while written.thread.calls:
        written.thread.go_on()
    assert written.batches == [["a0"], ["b0", "c0", "d0"]]


def test_the_last_mark_of_a_request_that_waits_is_written(written: Written) -> None:
    written.add("a")
    written.add("b", deaths=1)
    written.add("b", deaths=2)
    while written.thread.calls:
        written.thread.go_on()
    assert written.batches == [["a0"], ["b2"]]


def test_a_batch_is_no_larger_than_commits_may_wait_for(written: Written) -> None:
    written.add(*(f"r{number}" for number in range(marks.MOST + 1)))
    while written.thread.calls:
        written.thread.go_on()
    assert list(map(len, written.batches)) == [marks.MOST, 1]


def test_what_follows_waits_for_the_marks_before_it_alone(written: Written) -> None:
    seen: list[str] = []
    written.marks.then(lambda: seen.append("none before"))
    written.add("a")
    written.marks.then(lambda: seen.append("after a"))
    written.add("b")
    written.marks.then(lambda: seen.append("after b"))
    assert seen == ["none before"]
    written.thread.go_on()
    assert seen == ["none before", "after a"]
    written.thread.go_on(OSError("no room"))
    assert seen == ["none before", "after a", "after b"]
