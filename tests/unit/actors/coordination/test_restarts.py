from __future__ import annotations

import pytest

from jobx.actors.coordination.restarts import GIVEN_UP_POLICY, SPACE_S, Restarts
from jobx.actors.messages import RequestKey
from jobx.actors.runtime.accounts import Restarted

KEY = RequestKey("w", "r")


def deaths(restarts: Restarts, count: int, every_s: float = 1.0) -> list[float | None]:
    return [restarts.died(KEY, n * every_s, f"Error {n}") for n in range(count)]


def test_a_coordinator_is_rebuilt_three_times_with_a_growing_delay() -> None:
    restarts = Restarts()
    assert deaths(restarts, 3) == pytest.approx([0.1, 0.2, 0.4])
    assert restarts.failure(KEY) is None


def test_the_fourth_death_in_a_minute_ends_the_request_by_name_and_reason() -> None:
    restarts = Restarts()
    deaths(restarts, 4)
    failure = restarts.failure(KEY)
    assert failure is not None
    assert failure.type == "CoordinatorFailed"
    assert failure.message == (
        "the coordinator of request w/r failed 4 times; the last time with Error 3"
    )


def test_taking_up_a_request_counts_as_a_rebuild() -> None:
    restarts = Restarts()
    restarts.rebuilt(KEY, 0.0)
    deaths(restarts, 3)
    assert restarts.failure(KEY) is not None


def test_a_coordinator_that_was_started_again_has_not_died() -> None:
    restarts = Restarts()
    restarts.asked(KEY, "restarted by an operator: why not")
    assert restarts.why(KEY) == (
        "its coordinator was restarted by an operator: why not; it is rebuilt from its log"
    )


def test_deaths_that_are_far_apart_end_nothing() -> None:
    restarts = Restarts()
    assert deaths(restarts, 20, every_s=31.0).count(None) == 0
    assert restarts.failure(KEY) is None


def test_what_cannot_be_ended_either_is_left_alone() -> None:
    restarts = Restarts()
    found = deaths(restarts, 5 + GIVEN_UP_POLICY.max_restarts)
    assert [delay is None for delay in found] == [False] * 6 + [True]


def test_restarts_over_all_coordinators_are_spaced() -> None:
    restarts = Restarts()
    delays = [restarts.died(RequestKey("w", str(n)), 0.0, "") or 0.0 for n in range(1000)]
    assert delays == sorted(delays)
    assert delays[-1] >= 999 * SPACE_S


def test_a_request_that_has_ended_is_forgotten() -> None:
    restarts = Restarts()
    deaths(restarts, 4)
    restarts.forget(KEY)
    assert restarts.failure(KEY) is None


def test_a_restart_that_somebody_asks_for_is_told_and_is_no_death() -> None:
    restarts = Restarts()
    assert restarts.restarted(KEY) is None
    for number in range(10):
        restarts.asked(KEY, f"asked {number}")
    assert restarts.restarted(KEY) == Restarted(10, 0, 3, "asked 9")
    assert deaths(restarts, 3)[-1] is not None
    assert restarts.restarted(KEY) == Restarted(13, 3, 3, "Error 2")
    assert restarts.failure(KEY) is None
    restarts.forget(KEY)
    assert restarts.restarted(KEY) is None
