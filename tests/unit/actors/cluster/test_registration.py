from __future__ import annotations

import msgspec

from jobx.actors.cluster.members import NodeRecord
from jobx.actors.cluster.registration import Registration


class FakeLease:
    """Notes what it shows; ``is_lost``: the next renewal finds it lost."""

    def __init__(self) -> None:
        self.shown: list[NodeRecord] = []
        self.is_lost = False

    def acquire(self) -> None: ...

    def release(self) -> None: ...

    def renew(self, value: str | None = None) -> bool:
        self.shown.append(msgspec.json.decode(value or "", type=NodeRecord))
        was_lost, self.is_lost = self.is_lost, False
        return not was_lost


def test_a_node_shows_its_record() -> None:
    lease, anew = FakeLease(), list[int]()
    registration = Registration(lease, NodeRecord(5, "there:1"), anew.append)
    registration.renew()
    registration.renew()
    assert lease.shown == [NodeRecord(5, "there:1")] * 2
    assert anew == []


def test_a_node_whose_lease_was_lost_registers_anew() -> None:
    lease, anew = FakeLease(), list[int]()
    registration = Registration(lease, NodeRecord(5, "there:1"), anew.append)
    lease.is_lost = True
    registration.renew()
    (number,) = anew
    assert number > 5
    assert lease.shown[-1] == NodeRecord(number, "there:1")


def test_registrations_grow_though_the_clock_steps_back() -> None:
    lease, anew, future = FakeLease(), list[int](), 1 << 62
    registration = Registration(lease, NodeRecord(future, "there:1"), anew.append)
    lease.is_lost = True
    registration.renew()
    assert anew == [future + 1]
