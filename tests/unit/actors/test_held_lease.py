from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from jobx.actors.held_lease import HeldLease
from jobx.actors.parts import Parts
from jobx.errors import InUse, StoreUnavailable


class FakeLease:
    """A lease that is renewed as it is told."""

    def __init__(self, renewed: Callable[[], bool] = lambda: True) -> None:
        self.is_held = False
        self._renewed = renewed

    def acquire(self) -> None:
        self.is_held = True

    def renew(self, value: str | None = None) -> bool:
        return self._renewed()

    def release(self) -> None:
        self.is_held = False


def raising(error: Exception) -> Callable[[], bool]:
    def renewed() -> bool:
        raise error

    return renewed


def renewed(lease: FakeLease, renewal: Callable[[], bool] | None = None) -> list[str]:
    """Renew a lease once; return what was called then."""
    called: list[str] = []

    async def once() -> None:
        held = HeldLease(lease, called.append)
        held.lost = lambda: called.append("lost")
        held.renewal = renewal or held.renewal
        await asyncio.to_thread(held.renew)

    asyncio.run(once())
    return called


def test_a_lease_is_held_until_the_parts_stop() -> None:
    lease = FakeLease()

    async def life() -> bool:
        async with Parts() as parts:
            await HeldLease(lease, lambda _: None).hold(parts)
            return lease.is_held

    assert asyncio.run(life())
    assert not lease.is_held


def test_nothing_is_called_while_a_lease_is_kept() -> None:
    assert renewed(FakeLease()) == []


def test_a_lease_that_was_lost_is_told() -> None:
    assert renewed(FakeLease(lambda: False)) == ["lost"]


def test_a_lease_that_was_lost_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    renewed(FakeLease(lambda: False))
    assert caplog.messages == ["the lease of the store was lost, and is held again"]


def test_a_lease_that_another_node_has_ends_the_node() -> None:
    error = InUse("node", "a", "elsewhere")
    assert renewed(FakeLease(raising(error))) == [f"another node has its id: {error}"]


def test_a_store_that_does_not_answer_ends_no_node() -> None:
    with pytest.raises(StoreUnavailable):
        renewed(FakeLease(raising(StoreUnavailable("silent"))))


def test_a_member_of_a_cluster_renews_its_lease_in_its_own_way() -> None:
    assert renewed(FakeLease(), lambda: False) == ["lost"]
