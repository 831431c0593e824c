from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from jobx.actors.request.census import Census


@pytest.mark.parametrize(
    ("fields", "counts"),
    [
        ({}, (0, 0, 0)),
        ({"complete": True}, (1, 0, 0)),
        ({"complete": True, "gathers": 1}, (1, 0, 1)),
        ({"complete": True, "gathers": 1, "partitions": 8}, (0, 1, 0)),
    ],
)
def test_a_branch_is_counted_as_it_is_until_it_leaves(
    fields: dict[str, Any], counts: tuple[int, int, int]
) -> None:
    census, known = Census(), {"complete": False, "partitions": 0, "gathers": 0}
    branch = SimpleNamespace(vertex=3, step="s", **{**known, **fields})
    census.enter(branch)
    assert (census.waiting["s"], census.gathered["s"], len(census.remade)) == counts
    census.leave(branch)
    assert (census.waiting["s"], census.gathered["s"], len(census.remade)) == (0, 0, 0)
