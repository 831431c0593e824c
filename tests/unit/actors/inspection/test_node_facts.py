from __future__ import annotations

import math

import pytest

from jobx.actors.inspection.node_facts import NodeFacts, said_at


def test_monotonic_instants_are_told_by_the_wall_clock() -> None:
    facts = NodeFacts(now=10.0, now_at=1_000_010.0)
    assert facts.wall(5.0) == 1_000_005.0
    assert facts.said(5.0) == said_at(1_000_005.0) == "1970-01-12 13:46:45Z"


@pytest.mark.parametrize("far", [1e300, -1e20, math.inf, math.nan])
def test_instants_that_are_no_dates_are_told_all_the_same(far: float) -> None:
    assert said_at(far) == f"{far:g} s after 1970"
