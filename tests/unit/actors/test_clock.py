from __future__ import annotations

import pytest

from jobx.actors.clock import LOOK_S, RATE, ServiceClock
from jobx.kv.requests.lives import Life

DAY_S = 86_400.0
NEW = Life()


class Machine:
    """A machine whose wall clock can be set."""

    def __init__(self, wall_at: float = 1_000_000.0, since_s: float = 100.0) -> None:
        self.wall_at = wall_at
        self.since_s = since_s

    def clock(self, last: Life = NEW, boot: str = "b") -> ServiceClock:
        return ServiceClock(last, boot, wall_at=lambda: self.wall_at, since_s=lambda: self.since_s)

    def pass_s(self, seconds: float) -> None:
        self.wall_at += seconds
        self.since_s += seconds


@pytest.mark.parametrize("step_s", [DAY_S, -3600.0, 365 * DAY_S, -1_000_000.0])
def test_a_wall_clock_that_is_set_changes_nothing_at_once(step_s: float) -> None:
    machine = Machine()
    clock = machine.clock()
    before = clock.now_at()
    machine.wall_at += step_s
    assert clock.now_at() == before
    machine.pass_s(60.0)
    assert clock.now_at() - before == pytest.approx(60.0, rel=RATE)


@pytest.mark.parametrize("step_s", [3600.0, -3600.0])
def test_the_wall_clock_is_reached_in_the_end(step_s: float) -> None:
    machine = Machine()
    clock = machine.clock()
    machine.wall_at += step_s
    for _ in range(11):
        before = clock.now_at()
        machine.pass_s(3600.0)
        assert clock.now_at() > before
    assert clock.now_at() == pytest.approx(machine.wall_at)


def test_a_restart_goes_on_where_the_last_life_left_off() -> None:
    machine = Machine()
    clock = machine.clock()
    life = clock.note(Life(incarnation=1))
    machine.wall_at += DAY_S
    machine.pass_s(500.0)
    assert machine.clock(life).now_at() == pytest.approx(life.at + 500.0)


def test_over_a_boot_the_wall_clock_says_how_long_it_took() -> None:
    machine = Machine()
    life = machine.clock().note(Life())
    machine.wall_at += DAY_S
    machine.since_s = 3.0
    assert machine.clock(life, "c").now_at() == machine.wall_at


def test_over_a_boot_it_never_goes_back() -> None:
    machine = Machine()
    life = machine.clock().note(Life())
    machine.wall_at -= DAY_S
    assert machine.clock(life, "c").now_at() == life.at


def test_it_is_noted_anew_only_when_that_differs() -> None:
    machine = Machine()
    clock = machine.clock()
    life = clock.note(Life(incarnation=4))
    machine.pass_s(10_000.0)
    assert clock.note(life) is life
    machine.wall_at += DAY_S
    machine.pass_s(100.0)
    clock.now_at()
    noted = clock.note(life)
    assert noted.incarnation == 4
    assert machine.clock(noted).now_at() == pytest.approx(clock.now_at())


def test_between_looks_at_the_wall_clock_it_neither_jumps_nor_goes_back() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.pass_s(LOOK_S)
    machine.wall_at += DAY_S
    before = clock.now_at()
    for _ in range(50):
        machine.pass_s(LOOK_S / 7)
        now = clock.now_at()
        assert 0.0 < now - before <= LOOK_S / 7 * (1 + RATE) + 1e-6
        before = now
