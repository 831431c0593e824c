from __future__ import annotations

import pytest

from jobx.actors.request.retry import DISK_MOST_S, DISK_S, FIRST, Attempt, next_delay_s
from jobx.model import Failure, Retry

LOST_ATTEMPTS = 3


def _failure(kind: str, error_type: str = "ValueError") -> Failure:
    return Failure(kind=kind, type=error_type, message="")


def _delay(policy: Retry, failure: Failure, attempt: Attempt = FIRST) -> float | None:
    return next_delay_s(policy, failure, attempt, LOST_ATTEMPTS)


@pytest.mark.parametrize("kind", ["author", "timeout", "memory"])
def test_a_handlers_fault_is_final_unless_its_policy_says_otherwise(kind: str) -> None:
    assert _delay(Retry(), _failure(kind)) is None
    assert _delay(Retry(attempts=2), _failure(kind)) == Retry().backoff_s


@pytest.mark.parametrize(
    "kind",
    ["pair", "protocol", "arguments", "scope", "limit", "capability", "internal", "cancelled"],
)
def test_what_would_go_the_same_way_again_is_never_tried_again(kind: str) -> None:
    assert _delay(Retry(attempts=100), _failure(kind)) is None


@pytest.mark.parametrize(
    ("faults", "delay_s"), [(0, 0.5), (1, 1.0), (2, 2.0), (3, 3.0), (4, 3.0), (5, None)]
)
def test_back_off_doubles_up_to_its_cap_until_the_attempts_are_spent(
    faults: int, delay_s: float | None
) -> None:
    policy = Retry(attempts=6, backoff_s=0.5, max_backoff_s=3.0)
    assert _delay(policy, _failure("author"), Attempt(faults + 1, 0, faults)) == delay_s


def test_back_off_of_the_last_of_a_hundred_attempts_is_still_the_cap() -> None:
    policy = Retry(attempts=100, backoff_s=30.0, max_backoff_s=60.0)
    assert _delay(policy, _failure("author"), Attempt(99, 0, 98)) == 60.0


@pytest.mark.parametrize(
    ("named", "is_retried"),
    [
        (("ConnectionResetError",), True),
        (("OSError",), True),
        (("Exception",), True),
        (("mine.NetError",), True),
        (("NetError",), True),
        (("ValueError",), False),
        (("other.NetError",), False),
    ],
)
def test_a_class_that_is_named_stands_for_those_derived_from_it(
    named: tuple[str, ...], is_retried: bool
) -> None:
    bases = ("mine.NetError", "ConnectionError", "OSError", "Exception", "BaseException")
    failure = Failure(kind="author", type="ConnectionResetError", message="", bases=bases)
    assert (_delay(Retry(attempts=2, on=named), failure) is not None) == is_retried


@pytest.mark.parametrize(
    ("error_type", "named", "is_retried"),
    [
        ("ValueError", (), True),
        ("ValueError", ("ValueError",), True),
        ("requests.Timeout", ("Timeout",), True),
        ("requests.Timeout", ("requests.Timeout",), True),
        ("requests.Timeout", ("other.Timeout",), False),
        ("ValueError", ("KeyError", "OSError"), False),
        ("Timeout", ("requests.Timeout",), False),
    ],
)
def test_only_named_exceptions_are_tried_again(
    error_type: str, named: tuple[str, ...], is_retried: bool
) -> None:
    delay_s = _delay(Retry(attempts=2, on=named), _failure("author", error_type))
    assert (delay_s is not None) == is_retried


@pytest.mark.parametrize("kind", ["crash", "blob"])
@pytest.mark.parametrize(("executor_failures", "delay_s"), [(0, 0.0), (1, 0.0), (2, None)])
def test_losses_are_tried_again_at_once_until_they_are_too_many(
    kind: str, executor_failures: int, delay_s: float | None
) -> None:
    assert (
        _delay(Retry(), _failure(kind), Attempt(executor_failures + 1, executor_failures, 0))
        == delay_s
    )


def test_losses_do_not_use_up_the_attempts_of_the_policy() -> None:
    lossy = Attempt(number=3, executor_failures=2, faults=0)
    assert _delay(Retry(attempts=2), _failure("author"), lossy) is not None


def test_what_a_neighbour_killed_is_tried_again_for_ever() -> None:
    attempt = FIRST
    for _ in range(1000):
        assert _delay(Retry(), _failure("lost"), attempt) == 0.0
        attempt = attempt.after(_failure("lost"))
    assert attempt == Attempt(number=1001, executor_failures=0, faults=0)


@pytest.mark.parametrize(
    ("kind", "after"),
    [
        ("crash", Attempt(2, 1, 0)),
        ("blob", Attempt(2, 1, 0)),
        ("author", Attempt(2, 0, 1)),
        ("timeout", Attempt(2, 0, 1)),
        ("memory", Attempt(2, 0, 1)),
        ("lost", Attempt(2, 0, 0)),
    ],
)
def test_an_attempt_counts_what_ended_it(kind: str, after: Attempt) -> None:
    assert FIRST.after(_failure(kind)) == after


@pytest.mark.parametrize("kind", ["full", "disk"])
def test_what_the_disk_did_not_take_is_tried_again_for_as_long_as_it_takes(kind: str) -> None:
    attempt, delays = FIRST, []
    for _ in range(LOST_ATTEMPTS + 5):
        delays.append(_delay(Retry(), _failure(kind), attempt))
        attempt = attempt.after(_failure(kind))
    assert delays[:2] == [DISK_S, 2 * DISK_S]
    assert delays[4:] == [DISK_MOST_S] * (LOST_ATTEMPTS + 1)


def test_failures_of_the_handler_before_it_do_not_lengthen_the_wait_for_the_disk() -> None:
    attempt = Attempt(number=4, executor_failures=1, faults=2)
    assert _delay(Retry(), _failure("disk"), attempt) == DISK_S
