from __future__ import annotations

import pytest

from jobx.actors.budget import OpenBudget
from jobx.errors import Overloaded


def test_what_does_not_fit_is_refused_and_not_counted() -> None:
    budget = OpenBudget(100)
    budget.admit("a", 60)
    with pytest.raises(Overloaded, match="60 bytes of 100"):
        budget.admit("b", 41)
    assert budget.held_bytes == 60
    budget.admit("b", 40)
    assert not budget.has_room


def test_one_that_is_alone_fits_whatever_its_size() -> None:
    budget = OpenBudget(100)
    budget.admit("a", 1000)
    assert not budget.has_room
    budget.release("a")
    assert (budget.has_room, budget.held_bytes) == (True, 0)


def test_a_request_counts_with_what_it_holds_last() -> None:
    budget = OpenBudget(100)
    for size_bytes in (10, 90, 30):
        budget.hold("a", size_bytes)
    assert budget.held_bytes == 30


def test_what_is_released_twice_counts_once() -> None:
    budget = OpenBudget(100)
    budget.hold("a", 10)
    budget.release("a")
    budget.release("a")
    assert budget.held_bytes == 0
