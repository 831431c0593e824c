from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx.actors.request.events import Accepted, Adopted, Cancelled, Event
from jobx.actors.request.time_spent import spent_s
from tests.support.payloads import EMPTY


def accepted(at: float, node: str = "a") -> Accepted:
    return Accepted(at, "j", "s", "p", EMPTY, 60.0, node=node)


def adopted(at: float, node: str) -> Adopted:
    return Adopted(at, node, 1)


def other(at: float) -> Cancelled:
    return Cancelled(at, "why")


@pytest.mark.parametrize(
    ("events", "node", "now_at", "spent"),
    [
        ([], "a", 50.0, 0.0),
        ([accepted(10.0)], "a", 50.0, 40.0),
        ([accepted(10.0), other(30.0)], "a", 50.0, 40.0),
        ([accepted(10.0), other(30.0), adopted(45.0, "a")], "a", 50.0, 40.0),
        ([accepted(10.0, "")], "a", 50.0, 40.0),
        ([accepted(10.0, ""), adopted(20.0, "a")], "a", 50.0, 40.0),
        ([accepted(10.0), other(30.0)], "b", 9000.0, 20.0),
        ([accepted(10.0), other(30.0)], "b", 0.0, 20.0),
        ([accepted(10.0), other(30.0), adopted(9000.0, "b")], "b", 9005.0, 25.0),
        ([accepted(10.0), other(30.0), adopted(5.0, "b"), other(8.0)], "a", 70.0, 23.0),
        ([accepted(10.0), adopted(5.0, "b"), adopted(50.0, "a")], "a", 60.0, 10.0),
        ([accepted(10.0), other(5.0)], "b", 50.0, 0.0),
        ([accepted(60.0)], "a", 50.0, 0.0),
    ],
)
def test_time_is_told_by_the_clock_that_wrote_the_log(
    events: list[Event], node: str, now_at: float, spent: float
) -> None:
    assert spent_s(events, node, now_at) == spent


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.floats(0.0, 100.0)), max_size=8),
    st.floats(-1e6, 1e6),
)
def test_no_difference_of_clocks_changes_what_a_log_tells(
    stretches: list[tuple[str, float]], ahead_s: float
) -> None:
    """Node c, whose clock is ahead by any time, finds what it would find without that."""

    def log(ahead_of_b_s: float) -> list[Event]:
        events: list[Event] = [accepted(1000.0)]
        at = 1000.0
        for node, lasted_s in stretches:
            shift_s = ahead_of_b_s if node == "b" else 0.0
            at += 1.0
            events += [adopted(at + shift_s, node), other(at + lasted_s + shift_s)]
            at += lasted_s
        return events

    expected = spent_s(log(0.0), "c", 5000.0)
    assert spent_s(log(ahead_s), "c", 5000.0 + ahead_s) == pytest.approx(expected, abs=1e-6)
