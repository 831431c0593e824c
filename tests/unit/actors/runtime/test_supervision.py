from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx.actors.runtime.supervision import (
    Abandon,
    Escalate,
    Restart,
    RestartBudget,
    RestartPolicy,
    SupervisionDecision,
)

POLICY = RestartPolicy(max_restarts=3, window_s=60.0, backoff_s=1.0, max_backoff_s=3.0)


@pytest.mark.parametrize(
    ("policy", "failures", "last"),
    [
        (POLICY, [0.0], Restart(1.0)),
        (POLICY, [0.0, 1.0], Restart(2.0)),
        (POLICY, [0.0, 1.0, 2.0], Restart(3.0)),
        (POLICY, [0.0, 1.0, 2.0, 3.0], Abandon()),
        (POLICY, [0.0, 1.0, 2.0, 60.0], Abandon()),
        (POLICY, [0.0, 1.0, 2.0, 60.5], Restart(3.0)),
        (POLICY, [0.0, 1.0, 2.0, 100.0], Restart(1.0)),
        (RestartPolicy("stop"), [0.0], Abandon()),
        (RestartPolicy("escalate", max_restarts=0), [0.0], Escalate()),
        (RestartPolicy("escalate", max_restarts=1, backoff_s=1.0), [0.0], Restart(1.0)),
        (RestartPolicy("escalate", max_restarts=1), [0.0, 1.0], Escalate()),
        (RestartPolicy("restart", max_restarts=0), [0.0], Abandon()),
    ],
)
def test_a_budget_decides_by_the_failures_in_its_window(
    policy: RestartPolicy, failures: list[float], last: SupervisionDecision
) -> None:
    budget = RestartBudget(policy)
    decisions = [budget.failed(now) for now in failures]
    assert decisions[-1] == last
    assert budget.is_spent == (not isinstance(last, Restart))


@given(
    gaps=st.lists(st.floats(0.0, 50.0), max_size=40),
    max_restarts=st.integers(0, 5),
    window_s=st.floats(0.0, 100.0),
)
def test_a_budget_never_allows_more_restarts_than_it_has_in_any_window(
    gaps: list[float], max_restarts: int, window_s: float
) -> None:
    budget = RestartBudget(RestartPolicy(max_restarts=max_restarts, window_s=window_s))
    now, restarts = 0.0, []
    for gap in gaps:
        now += gap
        if isinstance(budget.failed(now), Restart):
            restarts.append(now)
        assert sum(now - at <= window_s for at in restarts) <= max_restarts


def test_a_delay_stays_within_its_bound_however_large_the_budget() -> None:
    budget = RestartBudget(RestartPolicy(max_restarts=5_000, max_backoff_s=9.0))
    decisions = [budget.failed(1.0) for _ in range(5_000)]
    assert decisions[-1] == Restart(9.0)


def test_what_is_tried_for_ever_is_tried_after_the_longest_delay_when_the_budget_is_spent() -> None:
    budget = RestartBudget(POLICY)
    assert [budget.delay_s(0.0) for _ in range(6)] == [1.0, 2.0, 3.0, 3.0, 3.0, 3.0]
