from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest

from jobx.actors.cluster.members import NodeRecord
from jobx.actors.cluster.registration import Registration
from jobx.actors.lifetime import Lifetime
from jobx.kv.memory import MemoryStore


class FakeLease:
    """Notes what it shows; ``losses``: so many of the next renewals find it lost."""

    def __init__(self) -> None:
        self.shown: list[NodeRecord] = []
        self.losses = 0

    def acquire(self) -> None: ...

    def release(self) -> None: ...

    def renew(self, value: str | None = None) -> bool:
        self.shown.append(msgspec.json.decode(value or "", type=NodeRecord))
        self.losses -= 1
        return self.losses < 0


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
    lease.losses = 1
    assert not registration.renew()
    assert registration.renew()
    (number,) = anew
    assert number > 5
    assert lease.shown[-1] == NodeRecord(number, "there:1")


def test_a_lease_that_is_lost_again_is_shown_by_a_further_registration() -> None:
    lease, anew = FakeLease(), list[int]()
    registration = Registration(lease, NodeRecord(5, "there:1"), anew.append)
    lease.losses = 2
    registration.renew()
    assert anew == [6, 7]
    assert lease.shown[-1] == NodeRecord(7, "there:1")


def test_registrations_of_a_life_are_older_than_the_next_life_whatever_the_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, lease, anew = MemoryStore(), FakeLease(), list[int]()
    registration = Registration(
        lease, NodeRecord(Lifetime("n", store, tmp_path).incarnation), anew.append
    )
    lease.losses = 9
    registration.renew()
    monkeypatch.setattr(time, "time_ns", lambda: 1)
    assert Lifetime("n", store, tmp_path).incarnation > max(anew)


@pytest.mark.parametrize(
    ("renewed", "at", "is_settled"),
    [
        ((), 10.0, False),
        ((0.0,), 4.9, False),
        ((0.0, 4.0), 5.0, True),
        ((0.0, 4.0), 9.0, False),
        ((0.0, 4.0, 8.0), 12.9, True),
    ],
)
def test_a_lease_has_settled_when_it_was_held_for_long_and_is_held(
    renewed: tuple[float, ...], at: float, is_settled: bool
) -> None:
    now = [0.0]
    registration = Registration(FakeLease(), NodeRecord(5), lambda _: None, lambda: now[0])
    for now[0] in renewed:
        registration.renew()
    now[0] = at
    assert registration.has_settled(5.0) is is_settled


def test_a_lease_that_was_lost_settles_anew() -> None:
    lease, now = FakeLease(), [0.0]
    registration = Registration(lease, NodeRecord(5), lambda _: None, lambda: now[0])
    registration.renew()
    now[0], lease.losses = 8.0, 1
    registration.renew()
    now[0] = 12.0
    registration.renew()
    assert not registration.has_settled(5.0)
    now[0] = 13.0
    assert registration.has_settled(5.0)
