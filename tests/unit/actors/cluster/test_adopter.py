from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest

from jobx.actors.cluster.adopter import Adopter
from jobx.actors.cluster.adoption import Adoption, Inherited
from jobx.actors.messages import RequestKey
from jobx.errors import StoreUnavailable
from jobx.kv.leases import Holders

KEY = RequestKey("w", "r")


class FakeAdoption:
    """Looks when it is told to, each time with the next outcome."""

    pause_s = 3600.0

    def __init__(self, *outcomes: Inherited | Exception) -> None:
        self.outcomes = list(outcomes)

    def saw(self, holders: Holders, _: str) -> bool:
        return not holders

    def look(self) -> Inherited:
        outcome = self.outcomes.pop(0) if self.outcomes else Inherited()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def adopts(adoption: FakeAdoption) -> list[Inherited]:
    """Return what is told while somebody leaves again and again."""
    told: list[Inherited] = []
    with ThreadPoolExecutor(1) as thread:
        adopter = Adopter(cast("Adoption", adoption), thread, told.append)
        async with asyncio.timeout(30.0):
            while not told:
                adopter.saw({}, "nodes/")
                await asyncio.sleep(0.001)
        adopter.stop()
    return told


@pytest.mark.parametrize(
    "before",
    [
        pytest.param((), id="at once"),
        pytest.param((Inherited(),), id="after one that found nothing"),
        pytest.param((StoreUnavailable("gone"), StoreUnavailable("gone")), id="after an outage"),
        pytest.param((ArithmeticError("a fault of ours"),), id="after a fault"),
    ],
)
def test_what_a_look_finds_is_told(before: tuple[Inherited | Exception, ...]) -> None:
    found = Inherited((), (KEY,))
    adoption = FakeAdoption(*before, found)
    assert asyncio.run(adopts(adoption)) == [found]
