from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from jobx.actors import recovery
from jobx.actors.messages import RequestKey, Waiting
from jobx.actors.recovery import AT_ONCE, HOLD_S, PROBATION_S, SETTLE_S, Recovery, charges
from jobx.kv.requests.lives import Mark, OpenRequest

LIMIT = 5
LAST = 7


def opened(
    name: str, life: int = LAST, deaths: int = 0, *, is_alone: bool = False, turn: int = 0
) -> OpenRequest:
    return OpenRequest("n", "w", name, Mark(life, deaths, is_alone, 1, turn))


def names(waiting: list[Waiting]) -> list[str]:
    return [one.key.request_id for one in waiting]


def charge(
    *found: OpenRequest, was_lost: bool = True, progressed: tuple[str, ...] = ()
) -> list[Waiting]:
    return recovery.charge(
        found,
        LAST,
        was_lost=was_lost,
        limit=LIMIT,
        progressed=lambda one: one.request_id in progressed,
    )


@pytest.mark.parametrize(
    ("mark", "was_lost", "progressed", "expected"),
    [
        # What was at work and got nowhere when the node died is counted, and only that.
        (Mark(LAST, 0), True, False, (1, False)),
        (Mark(LAST, 1), False, False, (1, False)),
        # Getting further acquits, whether the node died or not.
        (Mark(LAST, 4, True), True, True, (0, False)),
        (Mark(LAST, 4, True), False, True, (0, False)),
        # A death while it only waited was none of its doing. A stop says nothing.
        (Mark(LAST - 1, 4), True, False, (0, False)),
        (Mark(LAST - 1, 4), False, False, (4, False)),
        # Only who was alone at the last of enough deaths is set aside …
        (Mark(LAST, LIMIT - 1, True), True, False, (LIMIT, True)),
        (Mark(LAST, LIMIT - 2, True), True, False, (LIMIT - 1, False)),
        (Mark(LAST, 50, False), True, False, (51, False)),
        # … and stays so until it has ended, whatever happens meanwhile.
        (Mark(0, LIMIT, True), True, False, (LIMIT, True)),
        (Mark(0, LIMIT, True), False, False, (LIMIT, True)),
    ],
)
def test_a_death_counts_for_what_got_nowhere(
    mark: Mark, was_lost: bool, progressed: bool, expected: tuple[int, bool]
) -> None:
    (one,) = charge(
        OpenRequest("n", "w", "r", mark),
        was_lost=was_lost,
        progressed=("r",) if progressed else (),
    )
    assert (one.deaths, one.is_set_aside) == expected


@pytest.mark.parametrize("deaths", [0, 3])
def test_a_death_for_which_somebody_at_work_accounts_acquits_nobody_who_waited(
    deaths: int,
) -> None:
    found = charge(opened("at work", deaths=deaths), opened("waited", LAST - 1, deaths=3))
    assert [one.deaths for one in found] == [deaths + 1, 3]


def test_a_death_while_all_at_work_got_further_acquits_who_waited() -> None:
    found = [opened("at work", deaths=1), opened("waited", LAST - 1, deaths=3)]
    assert [one.deaths for one in charge(*found, progressed=("at work",))] == [0, 0]


def test_a_death_acquits_nobody_who_waited_where_only_a_share_of_the_open_is_known() -> None:
    (one,) = recovery.charge(
        [opened("waited", LAST - 1, deaths=3)],
        LAST,
        was_lost=True,
        limit=LIMIT,
        progressed=lambda _: False,
        is_whole=False,
    )
    assert one.deaths == 3


def test_suspects_that_are_added_later_wait_anew() -> None:
    waiting = Recovery(LIMIT)
    assert waiting.take(0.0, has_room=True) == []
    waiting.add([Waiting(RequestKey("w", "r"), deaths=2)])
    taken = [len(waiting.take(at, has_room=True)) for at in (1000.0, 1000.0 + HOLD_S[0])]
    assert taken == [0, 1]


def test_what_is_new_of_counts_is_written_and_a_verdict_is() -> None:
    found = [
        opened("same", LAST - 1),
        opened("counted", deaths=1),
        opened("over", deaths=4, is_alone=True),
    ]
    written = charges(found, charge(*found))
    assert [(one.request_id, one.mark) for one in written] == [
        ("counted", Mark(0, 2)),
        ("over", Mark(0, LIMIT, True)),
    ]


@pytest.mark.parametrize(
    ("events", "shown"),
    [
        ([], False),
        (["accepted", "adopted", "retried", "adopted"], False),
        (["adopted", "mapped"], True),
        (["done"], True),
        (["finished"], True),
    ],
)
def test_progress_is_what_is_left_of_work(events: list[str], shown: bool) -> None:
    assert recovery.shows_progress(events) is shown


def test_few_are_taken_up_at_a_time() -> None:
    waiting = Recovery(LIMIT)
    waiting.add(Waiting(RequestKey("w", f"r{n}")) for n in range(10))
    first = waiting.take(0.0, has_room=True)
    assert len(first) == AT_ONCE
    assert waiting.take(0.0, has_room=True) == []
    waiting.read(first[0].key)
    assert names(waiting.take(0.0, has_room=True)) == [f"r{AT_ONCE}"]


def test_nothing_is_taken_up_without_room() -> None:
    waiting = Recovery(LIMIT)
    waiting.add([Waiting(RequestKey("w", "r")), Waiting(RequestKey("w", "s"), deaths=2)])
    assert waiting.take(0.0, has_room=False) == []
    assert waiting.take(HOLD_S[1], has_room=False) == []


def test_what_is_asked_for_is_taken_up_first() -> None:
    waiting = Recovery(LIMIT)
    waiting.add(Waiting(RequestKey("w", f"r{n}")) for n in range(10))
    waiting.hurry(RequestKey("w", "r9"))
    assert names(waiting.take(0.0, has_room=True))[0] == "r9"


def suspects(**deaths: int) -> Recovery:
    """Return suspects that wait for their first turn, with their holds behind them."""
    waiting = Recovery(LIMIT)
    waiting.add(Waiting(RequestKey("w", name), number) for name, number in deaths.items())
    assert waiting.take(0.0, has_room=True) == []
    return waiting


def test_suspects_are_tried_one_after_the_other() -> None:
    waiting = suspects(a=2, b=2)
    now = HOLD_S[1]
    (first,) = waiting.take(now, has_room=True)
    assert waiting.mark(first, "n", 8).mark == Mark(8, 2, is_alone=True)
    waiting.read(first.key)
    assert waiting.take(now + 1, has_room=True) == []
    waiting.acquit(first.key)
    (second,) = waiting.take(now + 1, has_room=True)
    assert {first.key.request_id, second.key.request_id} == {"a", "b"}
    assert waiting.mark(second, "n", 8).mark == Mark(8, 2, is_alone=True, turn=1)


def test_those_with_few_deaths_and_those_that_came_late_are_tried_first() -> None:
    waiting = Recovery(LIMIT)
    waiting.add(
        Waiting(RequestKey("w", name), deaths, turn=turn)
        for name, deaths, turn in [("many", 4, 9), ("first", 3, 0), ("second", 3, 1)]
    )
    order = []
    waiting.take(0.0, has_room=True)
    while len(waiting):
        (one,) = waiting.take(HOLD_S[1], has_room=True)
        order += names([one])
        waiting.acquit(one.key)
    assert order == ["second", "first", "many"]


@pytest.mark.parametrize(("deaths", "hold_s"), [(2, 12.0), (3, 24.0), (4, 48.0), (9, 60.0)])
def test_a_suspect_waits_longer_after_each_death(deaths: int, hold_s: float) -> None:
    waiting = suspects(r=deaths)
    assert waiting.take(hold_s - 0.1, has_room=True) == []
    assert names(waiting.take(hold_s, has_room=True)) == ["r"]


def test_a_suspect_follows_a_moment_after_what_is_none() -> None:
    waiting = suspects(suspect=2)
    waiting.add([Waiting(RequestKey("w", "late"))])
    (late,) = waiting.take(HOLD_S[0], has_room=True)
    waiting.read(late.key)
    assert waiting.take(HOLD_S[0] + SETTLE_S - 0.1, has_room=True) == []
    assert names(waiting.take(HOLD_S[0] + SETTLE_S, has_room=True)) == ["suspect"]


def test_behind_a_suspect_that_is_pardoned_no_other_is_alone() -> None:
    waiting = suspects(a=3, b=3)
    now = HOLD_S[1]
    (first,) = waiting.take(now, has_room=True)
    waiting.read(first.key)
    assert waiting.pardon(now + 2 * PROBATION_S - 1) is None
    assert waiting.pardon(now + 2 * PROBATION_S) == first
    assert not waiting.mark(first, "n", 8).mark.is_alone
    (second,) = waiting.take(now + 2 * PROBATION_S, has_room=True)
    assert not waiting.mark(second, "n", 8).mark.is_alone


def test_a_request_that_is_set_aside_fails_by_name() -> None:
    failure = recovery.failure(Waiting(RequestKey("w", "r"), deaths=5, is_set_aside=True))
    assert failure.type == "NodeDied"
    text = "the node died 5 times in a row while request w/r ran and got nowhere"
    assert failure.message == text


# Whole histories: requests with steps, of which some kill the node, and kills from outside.

TICK_S = 0.25
START_S = 1.0


@dataclass
class Subject:
    """A request of so many steps of ``step_s``; a poison kills in its step ``kills_in``.

    Attributes:
        kills_after_s: How long it is at that step when it kills.
    """

    step_s: float
    steps: int
    kills_in: int | None = None
    kills_after_s: float = 0.0
    done: int = 0
    mark: Mark = field(default_factory=lambda: Mark(1, events=0))
    since_s: float = 0.0


@dataclass
class History:
    """Runs one life of a node after the other, by the clock of a simulation."""

    subjects: dict[str, Subject]
    next_kill: Callable[[], float]
    now: float = 0.0
    life: int = 1
    deaths_s: list[float] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)
    set_aside: set[str] = field(default_factory=set)

    def run(self, kills: int, limit_s: float) -> None:
        """Run until nothing is open; ``kills`` of the deaths come from outside."""
        self._live(Recovery(LIMIT), set(self.subjects), self.next_kill() if kills else 1e9)
        while self.subjects:
            self.deaths_s.append(self.now)
            kills -= 1
            assert self.now < limit_s, f"still open: {self.subjects}"
            found = [OpenRequest("n", "w", name, s.mark) for name, s in self.subjects.items()]
            waiting = recovery.charge(
                found, self.life, was_lost=True, limit=LIMIT, progressed=self._progressed
            )
            for one in charges(found, waiting):
                self.subjects[one.request_id].mark = one.mark
            order = Recovery(LIMIT)
            order.add(waiting)
            self.life += 1
            self.now += START_S
            self._live(order, set(), self.now + self.next_kill() if kills > 0 else 1e9)

    def _progressed(self, one: OpenRequest) -> bool:
        return self.subjects[one.request_id].done > one.mark.events

    def _live(self, order: Recovery, at_work: set[str], until_s: float) -> None:
        for name in at_work:
            self.subjects[name].since_s = self.now
        while self.subjects and self.now < until_s:
            for one in [order.pardon(self.now), *order.take(self.now, has_room=True)]:
                if one is not None:
                    self._take(order, one, at_work)
            for name in list(at_work):
                if self._work(name, order):
                    return
                if name not in self.subjects:
                    at_work.discard(name)
            self.now += TICK_S

    def _take(self, order: Recovery, one: Waiting, at_work: set[str]) -> None:
        name = one.key.request_id
        order.read(one.key)
        subject = self.subjects[name]
        mark = order.mark(one, "n", self.life).mark
        subject.mark = Mark(mark.life, mark.deaths, mark.is_alone, subject.done, mark.turn)
        if one.is_set_aside:
            self.set_aside.add(name)
            del self.subjects[name]
        elif name not in at_work:
            at_work.add(name)
            subject.since_s = self.now

    def _work(self, name: str, order: Recovery) -> bool:
        """Go on with a request; return whether it killed the node."""
        subject = self.subjects[name]
        at_step_s = self.now - subject.since_s
        if subject.kills_in == subject.done and at_step_s >= subject.kills_after_s:
            return True
        if subject.kills_in != subject.done and at_step_s >= subject.step_s:
            subject.done += 1
            subject.since_s = self.now
            order.acquit(RequestKey("w", name))
            if subject.done >= subject.steps:
                self.ended.add(name)
                del self.subjects[name]
        return False


@pytest.mark.parametrize("mean_s", [0.5, 2.0, 5.0, 10.0, 20.0, 60.0])
@pytest.mark.parametrize("seed", range(10))
def test_no_storm_of_kills_from_outside_fails_a_request(mean_s: float, seed: int) -> None:
    rng = random.Random(f"{mean_s}/{seed}")
    subjects = {f"r{n}": Subject(rng.uniform(0.1, 3.0), rng.randint(1, 40)) for n in range(12)}
    # Two with one long invocation: they get nowhere between most kills, as if they were poison.
    subjects |= {f"long{n}": Subject(rng.uniform(10.0, 40.0), 1) for n in range(2)}
    everybody = set(subjects)
    history = History(subjects, lambda: rng.expovariate(1 / mean_s))
    history.run(kills=100, limit_s=1e6)
    assert history.set_aside == set()
    assert history.ended == everybody


def test_what_was_held_up_by_a_storm_goes_on_soon_after_it() -> None:
    subjects = {f"r{n}": Subject(1.0, 3) for n in range(20)}
    history = History(subjects, lambda: 0.6)
    history.run(kills=50, limit_s=1e6)
    storm_s = 50 * (0.6 + START_S)
    assert history.now < storm_s + HOLD_S[0] + SETTLE_S + 20 * (1.0 + 4 * TICK_S) + 10


@pytest.mark.parametrize("kills_in", [0, 3])
@pytest.mark.parametrize("kills_after_s", [0.0, 1.0, 15.0, 50.0, 100.0])
@pytest.mark.parametrize("poisons", [1, 2, 4])
@pytest.mark.parametrize("innocent_s", [1.0, 70.0])
def test_poison_is_set_aside_in_few_deaths_and_nothing_else_is(
    kills_in: int, kills_after_s: float, poisons: int, innocent_s: float
) -> None:
    subjects = {f"good{n}": Subject(innocent_s, 3) for n in range(5)}
    for n in range(poisons):
        subjects[f"bad{n}"] = Subject(1.0, 9, kills_in, kills_after_s * (1 + n / 10))
    history = History(subjects, lambda: 0.0)
    history.run(kills=0, limit_s=1e6)
    assert history.set_aside == {f"bad{n}" for n in range(poisons)}
    assert history.ended == {f"good{n}" for n in range(5)}
    assert len(history.deaths_s) <= 4 * LIMIT * poisons


def test_deaths_by_one_poison_are_too_far_apart_for_serve_to_give_up() -> None:
    history = History({"bad": Subject(1.0, 9, 0)}, lambda: 0.0)
    history.run(kills=0, limit_s=1e6)
    assert len(history.deaths_s) == LIMIT
    assert history.deaths_s[-1] - history.deaths_s[0] > 60
