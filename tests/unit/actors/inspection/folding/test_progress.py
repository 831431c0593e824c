from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from jobx import views
from jobx.actors.inspection.folding import progress
from jobx.actors.request.events import Accepted, Done, Event, Failed, Finished, Retried, to_record
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import event_log
from jobx.model import Failure
from jobx.payload import Payload
from jobx.questions import GetSummary, ReadProgress
from jobx.views import (
    FailureGroup,
    ProgressView,
    RequestView,
    StepSummary,
    SummaryView,
    WatchView,
)

WRONG = Failure(kind="author", type="ValueError", message="w" * 1000, step_name="s")
ACCEPTED = Accepted(1.0, "j", "s", "digest", Payload(0, 0, inline=b""), 60.0)
LEAF = Done(2.0, "map", 0, 1, 3, "reduced")
BRANCH = Done(3.0, "reduce", 0, 0, 1, "reduced")
PART = Done(3.0, "reduce", 0, 7, 1, "reduced", partition=1)
RETRIED = Retried(2.0, "map", 0, 4, 2, 2, 0.0, WRONG)
FAILED = Failed(2.0, "map", 0, 5, 3, WRONG)
END = Finished(9.0, "succeeded")


class Log:
    """The log of a request, and how its entity stands."""

    def __init__(self, *events: Event) -> None:
        self.store = MemoryStore()
        self.count = 0
        self.states = ["running"]
        self.steps: list[StepSummary] = []
        self.groups: list[FailureGroup] = []
        self.append(ACCEPTED, *events)

    def append(self, *events: Event) -> None:
        writes = [
            event_log.event_write("w", "r1", self.count + n, to_record(event))
            for n, event in enumerate(events)
        ]
        self.store.commit(writes)
        self.count += len(events)

    def summary(self, _: Any, asked: GetSummary) -> SummaryView:
        state: Any = self.states.pop() if len(self.states) > 1 else self.states[0]
        request = RequestView(
            request_id=asked.request_id, workflow_name="w", job_name="j", state=state,
            is_blocking=False, accepted_at=1.0,
        )  # fmt: skip
        return SummaryView(
            request=request, as_of=self.count - 1, steps=self.steps, failures=self.groups
        )

    def read(self, *after: int) -> ProgressView:
        asked = ReadProgress(workflow="w", request_id="r1", after=after)
        return progress.read(self.store, asked, self.summary)


def told(since: views.Since) -> tuple[int, int, int]:
    """Return what came, in numbers."""
    failed = since.hidden + len(since.failures)
    return since.retries, since.branches_ended, failed


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (LEAF, (0, 0, 0)),
        (BRANCH, (0, 1, 0)),
        (PART, (0, 0, 0)),
        (RETRIED, (2, 0, 1)),
        (FAILED, (0, 0, 1)),
    ],
)
def test_what_an_event_tells(event: Event, expected: tuple[int, int, int]) -> None:
    found = Log(event).read(0, 1)
    assert (told(found.since[0]), told(found.since[1])) == (expected, (0, 0, 0))


def test_a_failed_attempt_is_named() -> None:
    retried, failed = Log(RETRIED, FAILED).read(-1).since[0].failures
    assert (retried.event, retried.invocation_id, retried.count, retried.attempt) == (1, "m4", 2, 1)
    assert (failed.event, failed.invocation_id, failed.count, failed.attempt) == (2, "m5", 1, 3)
    assert (retried.is_final, failed.is_final) == (False, True)
    assert (failed.step_name, failed.type, len(failed.message)) == ("s", "ValueError", 300)


def test_of_many_failures_the_last_are_listed_and_the_others_counted() -> None:
    since = Log(*[FAILED] * (progress.MOST_FAILURES + 5)).read(1).since[0]
    assert (len(since.failures), since.hidden) == (progress.MOST_FAILURES, 4)
    assert since.failures[-1].event == progress.MOST_FAILURES + 5


@pytest.mark.parametrize("seed", range(5))
def test_what_comes_in_pieces_adds_up_to_all_of_it(seed: int) -> None:
    chance = random.Random(seed)
    log, seen, sums = Log(), -1, [0, 0, 0]
    everything: list[Event] = [LEAF, BRANCH, PART, RETRIED, FAILED]
    for _ in range(20):
        log.append(*chance.choices(everything, k=chance.randint(0, 5)))
        found = log.read(seen, log.count - 1)
        sums = [a + b for a, b in zip(sums, told(found.since[0]), strict=True)]
        seen = found.summary.as_of
    assert tuple(sums) == told(log.read(-1).since[0])


def test_who_has_missed_too_much_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "MOST_MISSED", 3)
    log = Log(LEAF, FAILED, RETRIED, BRANCH)
    found = log.read(-1, 0, 1, 2).since
    assert [since.is_reset for since in found] == [True, True, False, False]
    assert told(found[0]) == (0, 0, 0)


@pytest.mark.parametrize(("events", "is_end"), [([], False), ([LEAF], False), ([LEAF, END], True)])
def test_the_last_event_tells_whether_it_is_the_end(events: Sequence[Event], is_end: bool) -> None:
    log = Log(*events)
    log.states = ["succeeded" if is_end else "running"]
    for after in (-1, 0, log.count - 1):
        assert log.read(after).is_end is is_end


def test_an_end_that_is_written_between_the_reads_is_read_again() -> None:
    log = Log(LEAF, END)
    log.states = ["succeeded", "running"]  # the newest first
    assert log.read(0).summary.request.state == "succeeded"


def test_a_watcher_is_told_what_came_since_his_event() -> None:
    log = Log(LEAF, RETRIED, BRANCH, END)
    log.states = ["succeeded"]
    found = log.read(1)
    view = progress.view_of(found, found.since[0])
    assert isinstance(view, WatchView)
    assert (view.as_of, view.retries, view.branches_ended, view.is_end) == (4, 2, 1, True)


def test_a_message_about_a_deep_tree_with_many_errors_stays_small() -> None:
    log = Log()
    log.steps = [
        StepSummary(
            step_name="ab"[depth % 2], depth=depth, mapped=3, succeeded=2, retries=1,
            mean_s=float(depth), max_s=float(depth),
        )
        for depth in range(1000)
    ]  # fmt: skip
    log.groups = [
        FailureGroup(type=f"E{number}", step_name="a", count=2, first="m1", message="m" * 200)
        for number in range(100)
    ]
    found = log.read(0).summary
    assert sorted((one.step_name, one.depth) for one in found.steps) == [("a", 0), ("b", 1)]
    counted = {(one.mapped, one.succeeded, one.retries) for one in found.steps}
    assert counted == {(1500, 1000, 500)}
    assert sorted((one.mean_s, one.max_s) for one in found.steps) == [
        (499.0, 998.0),
        (500.0, 999.0),
    ]
    assert [one.count for one in found.failures] == [2] * progress.MOST_GROUPS + [160]
    assert found.failures[-1].type == "others"
    assert len(msgspec.json.encode(found)) < 10_000
