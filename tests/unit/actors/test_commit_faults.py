from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from jobx.actors.commit_faults import RETRY_S, CommitFaults
from jobx.errors import JobxError, OutcomeUnknown, StoreFull, StoreUnavailable

PATIENCE_S = 10.0
AWAY = StoreUnavailable("the store")
UNSURE = OutcomeUnknown("the store", "no answer")
FULL = StoreFull("the store", "no space left")


class Faults:
    """Faults of commits on a clock of the test, and who heard of them."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.now = 0.0
        self.loop.time = lambda: self.now  # type: ignore[method-assign]  # a clock of the test
        self.told: list[JobxError | None] = []
        self.refused: list[JobxError] = []
        self.of = CommitFaults(self.loop, self.told.append, self.refused.append, PATIENCE_S)

    def fail(self, fault: JobxError, *, began: float) -> float:
        delay_s = self.of.failed(fault)
        self.of.await_end(began)
        return delay_s

    def turn(self, now: float) -> None:
        """Let the time come, and one turn of the loop pass."""
        self.now = now
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()


@pytest.fixture
def faults() -> Iterator[Faults]:
    made = Faults()
    yield made
    made.loop.close()


@pytest.mark.parametrize(
    ("fault", "now", "stalled"),
    [
        (AWAY, PATIENCE_S - 1, None),
        (AWAY, PATIENCE_S, AWAY),
        (UNSURE, PATIENCE_S - 1, None),
        (UNSURE, PATIENCE_S, UNSURE),
        (FULL, 0.0, FULL),
    ],
)
def test_new_requests_wait_only_for_faults_that_end_by_themselves(
    faults: Faults, fault: JobxError, now: float, stalled: JobxError | None
) -> None:
    faults.now = now
    faults.fail(fault, began=0.0)
    assert faults.of.stalled is stalled


def test_patience_ends_also_while_no_commit_is_tried(faults: Faults) -> None:
    faults.fail(AWAY, began=0.0)
    faults.turn(PATIENCE_S)
    assert (faults.of.stalled, faults.refused) == (AWAY, [AWAY])


def test_a_later_fault_does_not_renew_the_patience(faults: Faults) -> None:
    faults.fail(AWAY, began=0.0)
    faults.now = PATIENCE_S - 1
    faults.fail(UNSURE, began=PATIENCE_S - 1)
    faults.turn(PATIENCE_S)
    assert faults.of.stalled is UNSURE


def test_new_requests_were_not_tried_when_the_outcome_of_others_is_unknown(faults: Faults) -> None:
    faults.now = PATIENCE_S
    faults.fail(UNSURE, began=0.0)
    assert [type(error) for error in faults.refused] == [StoreUnavailable]


def test_one_stall_is_told_once_and_so_is_its_end(faults: Faults) -> None:
    faults.fail(FULL, began=0.0)
    faults.fail(FULL, began=0.0)
    faults.of.over()
    faults.of.over()
    assert faults.told == [FULL, None]


def test_a_fault_that_ended_in_time_stalls_nothing(faults: Faults) -> None:
    faults.fail(AWAY, began=0.0)
    faults.of.over()
    faults.turn(PATIENCE_S)
    assert (faults.of.last, faults.of.stalled, faults.told) == (None, None, [])


def test_tries_come_later_and_later_until_one_works(faults: Faults) -> None:
    delays = [faults.fail(AWAY, began=0.0) for _ in range(8)]
    faults.of.over()
    assert (delays[0], delays[-1], faults.fail(AWAY, began=0.0)) == (*RETRY_S, RETRY_S[0])
    assert delays == sorted(delays)
