from __future__ import annotations

import pytest

from jobx.actors.request.branches import ROOT
from jobx.actors.request.state import RequestState
from tests.unit.actors.request.driver import (
    PLAN,
    accepted,
    done,
    mapped,
    take,
)


@pytest.fixture
def state() -> RequestState:
    """A request whose root is at work."""
    begun = RequestState(PLAN)
    accepted(begun)
    assert take(begun) == (ROOT, ROOT, 1)
    return begun


@pytest.fixture
def parent(state: RequestState) -> RequestState:
    """A request whose root mapped four children and is done."""
    state.apply(mapped(ROOT, 1, 4))
    state.apply(done(ROOT, ROOT, outcome="mapped"))
    return state
