from __future__ import annotations

import pytest

from jobx.actors import left_open
from jobx.actors.left_open import LeftOpen
from jobx.actors.messages import RequestKey
from jobx.errors import FormUnknown

REASON = FormUnknown("requests/flow/a/log/0000000001", "the event 'parked' is unknown")


def key(number: int) -> RequestKey:
    return RequestKey("flow", f"r{number}")


def test_nothing_is_said_where_nothing_was_left() -> None:
    assert LeftOpen().notice is None


def test_a_request_that_was_left_has_its_reason() -> None:
    left = LeftOpen()
    left.add(key(1), REASON)
    assert (left.reason(key(1)), left.reason(key(2))) == (REASON, None)


def test_a_notice_names_the_first_and_counts_all() -> None:
    left = LeftOpen()
    for number in range(left_open.MOST + 5):
        left.add(key(number), REASON)
    notice = left.notice or ""
    assert f"{left_open.MOST + 5}, the first flow/r0: {REASON}" in notice


@pytest.mark.parametrize("more", [0, 1])
def test_it_is_told_whether_all_that_were_left_are_remembered(more: int) -> None:
    left = LeftOpen()
    for number in range(left_open.MOST + more):
        left.add(key(number), REASON)
    assert left.is_over is bool(more)


def test_a_request_that_is_left_again_counts_once() -> None:
    left = LeftOpen()
    for _ in range(2):
        left.add(key(1), REASON)
    assert ": 1, the first" in (left.notice or "")


def test_requests_that_are_not_open_any_more_are_forgotten() -> None:
    left, keys = LeftOpen(), [RequestKey("flow", name) for name in ("r0", "r1")]
    for key in keys:
        left.add(key, REASON)
    left.forget_all_but({keys[1]})
    assert [left.reason(key) for key in keys] == [None, REASON]
    left.forget_all_but(set())
    assert left.notice is None
