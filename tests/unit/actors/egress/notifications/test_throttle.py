from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from jobx.actors.egress.notifications.throttle import INTERVAL_S, Throttle
from jobx.actors.notification import Notification

#: What happens: seconds (exact ones) since what was before, and a cause.
STEPS = st.lists(
    st.tuples(st.sampled_from([0.0, 2**-10, 1.0, 29.5, 60.0, 200.0]), st.sampled_from("abc")),
    max_size=200,
)


def _notification(cause: str, text: str = "") -> Notification:
    return Notification(kind="k", level="error", subject=cause, cause=cause, text=text)


def _told(steps: list[tuple[float, str]], throttle: Throttle) -> list[tuple[float, Notification]]:
    """Play steps on virtual time, ``due`` being asked exactly when it says."""
    now, told = 0.0, []

    def pass_until(end: float) -> None:
        while (due := throttle.next_due()) is not None and due <= end:
            told.extend((due, message) for message in throttle.due(due))

    for waited_s, cause in steps:
        now += waited_s
        pass_until(now)
        message = throttle.take(_notification(cause), now)
        if message is not None:
            told.append((now, message))
    pass_until(now + 10 * INTERVAL_S)
    return told


@given(STEPS)
def test_nothing_is_told_twice_and_nothing_is_left_out(steps: list[tuple[float, str]]) -> None:
    counts: dict[str, int] = defaultdict(int)
    for _, message in _told(steps, Throttle()):
        counts[message.cause] += message.count

    assert counts == {c: sum(c == cause for _, cause in steps) for c in {c for _, c in steps}}


@given(STEPS)
def test_messages_of_one_cause_are_a_minute_apart(steps: list[tuple[float, str]]) -> None:
    instants: dict[str, list[float]] = defaultdict(list)
    for at, message in _told(steps, Throttle()):
        instants[message.cause].append(at)

    gaps = [b - a for times in instants.values() for a, b in pairwise(times)]
    assert all(gap >= INTERVAL_S for gap in gaps)


@given(STEPS)
def test_the_first_of_a_cause_is_told_at_once(steps: list[tuple[float, str]]) -> None:
    told, now = _told(steps, Throttle()), 0.0
    first: dict[str, float] = {}
    for waited_s, cause in steps:
        now += waited_s
        first.setdefault(cause, now)

    assert {c: min(at for at, m in told if m.cause == c) for c in first} == first


def test_a_hundred_thousand_of_one_cause_make_two_messages_in_their_minute() -> None:
    told = _told([(2**-11, "a")] * 100_000, Throttle())

    assert [message.count for _, message in told] == [1, 99_999]


def test_memory_is_bounded_however_many_causes_there_are() -> None:
    throttle = Throttle(max_causes=10)
    told = [throttle.take(_notification(f"c{number}"), 0.0) for number in range(10_000)]

    assert sum(message is not None for message in told) == 11
    assert [message.count for message in throttle.due(INTERVAL_S)] == [10_000 - 11]


def test_what_is_told_later_is_the_newest() -> None:
    throttle = Throttle()
    for text in "abc":
        throttle.take(_notification("x", text), 0.0)

    assert [message.text for message in throttle.flush()] == ["c"]
