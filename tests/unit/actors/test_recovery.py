from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobx.actors import recovery
from jobx.actors.messages import RequestKey, Waiting
from jobx.actors.recovery import AT_ONCE, PROBATION_S, SETTLE_S, Recovery, charge, charges
from jobx.kv.lives import Mark, OpenRequest

LIMIT = 3


def opened(name: str, life: int = 7, deaths: int = 0, *, is_alone: bool = False) -> OpenRequest:
    return OpenRequest("n", "w", name, Mark(life, deaths, is_alone))


def names(waiting: list[Waiting]) -> list[str]:
    return [one.key.request_id for one in waiting]


def charged(*found: OpenRequest, was_lost: bool = True) -> dict[str, Waiting]:
    waiting = charge(found, 7, was_lost=was_lost, limit=LIMIT)
    return {one.key.request_id: one for one in waiting}


def test_a_death_is_charged_to_what_was_at_work_in_that_life() -> None:
    found = charged(opened("at work"), opened("still waited", life=6))
    assert {name: one.deaths for name, one in found.items()} == {"at work": 1, "still waited": 0}


def test_a_stop_is_charged_to_nobody() -> None:
    assert charged(opened("r", deaths=2, is_alone=True), was_lost=False)["r"].deaths == 2


def test_a_death_while_a_suspect_is_alone_is_charged_to_it_alone() -> None:
    found = charged(opened("suspect", deaths=2, is_alone=True), opened("other", deaths=2))
    assert (found["suspect"].deaths, found["suspect"].is_set_aside) == (3, True)
    assert (found["other"].deaths, found["other"].is_set_aside) == (2, False)


def test_what_was_never_alone_is_not_set_aside() -> None:
    assert not charged(opened("r", deaths=50))["r"].is_set_aside


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


def test_what_is_asked_for_is_taken_up_first() -> None:
    waiting = Recovery(LIMIT)
    waiting.add(Waiting(RequestKey("w", f"r{n}")) for n in range(10))
    waiting.hurry(RequestKey("w", "r9"))
    assert names(waiting.take(0.0, has_room=True))[0] == "r9"


def test_suspects_are_taken_up_one_after_the_other() -> None:
    waiting = Recovery(LIMIT)
    waiting.add(Waiting(RequestKey("w", name), deaths=2) for name in "ab")
    (first,) = waiting.take(0.0, has_room=True)
    assert waiting.mark(first, "n", 8).mark == Mark(8, 2, is_alone=True)
    waiting.read(first.key)
    assert waiting.take(1.0, has_room=True) == []
    waiting.ended(first.key)
    assert names(waiting.take(2.0, has_room=True)) == ["b"]


def test_a_suspect_that_outlasts_its_probation_is_pardoned_and_the_next_one_follows() -> None:
    waiting = Recovery(LIMIT)
    waiting.add(Waiting(RequestKey("w", name), deaths=3) for name in "ab")
    (first,) = waiting.take(0.0, has_room=True)
    waiting.read(first.key)
    assert waiting.pardon(2 * PROBATION_S - 1) is None
    assert waiting.pardon(2 * PROBATION_S) == first
    assert not waiting.mark(first, "n", 8).mark.is_alone
    assert names(waiting.take(2 * PROBATION_S, has_room=True)) == ["b"]


@given(
    st.lists(st.booleans(), min_size=1, max_size=12).filter(any),
    st.integers(2, 5),
)
def test_culprits_are_set_aside_and_all_others_end(is_culprit: list[bool], limit: int) -> None:
    """Whatever is open: a life ends when a culprit is at work, and at last none is left."""
    marks = {f"r{n}": Mark(1) for n in range(len(is_culprit))}
    culprits = {f"r{n}" for n, does in enumerate(is_culprit) if does}
    ended: set[str] = set()
    set_aside: set[str] = set()
    life, lost = 1, True
    for _ in range(limit * (len(is_culprit) + 1) * 2):
        found = [OpenRequest("n", "w", name, mark) for name, mark in marks.items()]
        open_now = charge(found, life, was_lost=lost, limit=limit)
        marks |= {one.request_id: one.mark for one in charges(found, open_now)}
        waiting = Recovery(limit)
        waiting.add(open_now)
        life, lost, now = life + 1, False, 0.0
        while not lost and (taken := waiting.take(now, has_room=True)):
            now += SETTLE_S
            for one in taken:
                marks[one.key.request_id] = waiting.mark(one, "n", life).mark
            for one in taken:
                name = one.key.request_id
                if one.is_set_aside:
                    set_aside.add(name)
                elif name in culprits:
                    lost = True
                    break
                else:
                    ended.add(name)
                del marks[name]
                waiting.ended(one.key)
        if not marks:
            break
    assert set_aside == culprits
    assert not marks
    assert len(ended) + len(culprits) == len(is_culprit)


def test_a_request_that_is_set_aside_fails_by_name() -> None:
    failure = recovery.failure(Waiting(RequestKey("w", "r"), deaths=3, is_set_aside=True))
    assert failure.type == "NodeDied"
    assert failure.message == "the node died 3 times while request w/r ran"
