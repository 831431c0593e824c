from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx.actors.inspection.folding.activity import PARTS, Activity

RUNS = st.lists(
    st.tuples(st.floats(0, 100), st.floats(0, 20)).map(lambda run: (run[0], run[0] + run[1])),
    max_size=20,
)


@given(runs=RUNS)
def test_seconds_of_all_runs_are_kept_however_wide_the_parts_become(
    runs: list[tuple[float, float]],
) -> None:
    activity = Activity(from_at=0.0)
    for began_at, ended_at in runs:
        activity.add("s", began_at, ended_at)
    kept = sum(sum(one) for one in activity.running().values()) * activity.width_s
    assert kept == pytest.approx(sum(end - begin for begin, end in runs), abs=1e-6)
    assert (sum(activity.begun), sum(activity.ended)) == (len(runs), len(runs))


@given(runs=RUNS, at=st.floats(0, 120))
def test_runs_between_two_instants_are_never_counted_too_low(
    runs: list[tuple[float, float]], at: float
) -> None:
    activity = Activity(from_at=0.0)
    for began_at, ended_at in runs:
        activity.add("s", began_at, ended_at)
    exact = sum(began_at <= at + 1 and ended_at >= at for began_at, ended_at in runs)
    assert activity.runs_between(at, at + 1) >= exact


def test_a_long_run_runs_through_all_parts() -> None:
    activity = Activity(from_at=10.0)
    activity.add("s", 10.0, 10.0 + PARTS * 0.001 * 4)
    (running,) = activity.running().values()
    assert set(map(round, running[: PARTS // 2])) == {1}
    assert set(running[PARTS // 2 + 1 :]) == {0.0}


def test_failures_are_counted_where_they_were() -> None:
    activity = Activity(from_at=0.0)
    activity.fail(0.5, 3)
    activity.fail(100.0, 1)
    assert activity.failed[activity.part(0.5)] == 3
    assert sum(activity.failed) == 4
