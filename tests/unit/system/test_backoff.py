from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from jobx.system.backoff import doubled, luck, spread


def test_each_wait_is_twice_the_one_before_up_to_the_longest() -> None:
    assert [doubled(0.1, times, 0.5) for times in range(5)] == [0.1, 0.2, 0.4, 0.5, 0.5]


@given(st.integers(0, 1 << 64))
def test_wait_is_finite_after_any_number_of_tries(times: int) -> None:
    assert math.isfinite(doubled(1.0, times, math.inf))


def test_spread_wait_is_near_the_one_that_was_meant() -> None:
    assert 5.0 <= spread(10.0, luck()) < 15.0
