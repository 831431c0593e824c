"""The check of the soak: it finds each kind of fault, and none in a good history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.chaos.soak import plan
from tests.chaos.soak.history import (
    Attempt,
    Delivered,
    Ending,
    History,
    Stored,
    Struck,
    Violation,
    check,
)
from tests.chaos.soak.jobs import JOBS
from tests.chaos.soak.plan import Ask

ASK = Ask(0, "one", {"n": 5}, "wait", "key-0", "application/json")
DIGEST = plan.digest([[key, 5 + key] for key in range(10)])
WRONG = Ask(0, "wrong", {"n": 5}, "wait", "key-0", "application/json")
FAILURE = Ending(0, "r0", "failed", kind="author", type="ZeroDivisionError")
POSTED = replace(ASK, job="posted")


def history(ask: Ask = ASK) -> History:
    """One ask that was answered at once, and delivered."""
    return History(
        asks={0: ask},
        attempts=[Attempt(0, "POST", 200, request_id="r0")],
        endings={0: Ending(0, "r0", "succeeded", DIGEST)},
        delivered={"http": [Delivered("w/r0", DIGEST, 1.0)], "file": []},
        stored=[Stored(0, "r0", "succeeded")],
    )


def kinds(seen: History) -> set[str]:
    return {one.kind for one in check(seen, "w", {"posted": "http"})}


@pytest.mark.parametrize("ask", [ASK, POSTED, replace(ASK, key=None)])
def test_a_good_history_has_nothing_in_it(ask: Ask) -> None:
    assert check(history(ask), "w", {"posted": "http"}) == []


def test_an_id_that_only_may_exist_need_not() -> None:
    seen = history()
    seen.attempts.append(Attempt(0, "POST", 504, "outcome-unknown", "r1"))
    seen.attempts.append(Attempt(0, "GET", 404, "not-found", "r1"))
    assert kinds(seen) == set()


def test_a_job_that_must_fail_may() -> None:
    seen = history(WRONG)
    seen.endings = {0: FAILURE}
    assert kinds(seen) == set()


def _without_end(seen: History) -> None:
    seen.endings.clear()


def _runs_still(seen: History) -> None:
    seen.stored = [Stored(0, "r0", "running")]


def _other_pairs(seen: History) -> None:
    seen.endings[0] = Ending(0, "r0", "succeeded", "other")


def _failed(seen: History) -> None:
    seen.endings[0] = FAILURE


def _cancelled(seen: History) -> None:
    seen.endings[0] = Ending(0, "r0", "cancelled")


def _two_for_a_key(seen: History) -> None:
    seen.attempts.append(Attempt(0, "POST", 200, request_id="r1"))


def _one_more_in_the_store(seen: History) -> None:
    seen.stored.append(Stored(0, "r1", "succeeded"))


def _of_nobody(seen: History) -> None:
    seen.stored.append(Stored(-1, "r1", "succeeded"))


def _not_found(seen: History) -> None:
    seen.attempts.append(Attempt(0, "GET", 404, "not-found", "r0"))


def _not_found_before(seen: History) -> None:
    seen.attempts.insert(0, Attempt(0, "GET", 404, "not-found", "r0"))


def _unknown_status(seen: History) -> None:
    seen.attempts.append(Attempt(0, "GET", 500, "blob-damaged", "r0"))


def _no_retry_after(seen: History) -> None:
    seen.attempts.append(Attempt(0, "POST", 503, "overloaded"))


def _met(seen: History) -> None:
    seen.met.append(Violation("left process", "1 python"))


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (_without_end, "stuck"),
        (_runs_still, "stuck"),
        (_other_pairs, "wrong"),
        (_failed, "wrong"),
        (_cancelled, "wrong"),
        (_two_for_a_key, "doubled"),
        (_one_more_in_the_store, "doubled"),
        (_of_nobody, "doubled"),
        (_not_found, "lost"),
        (_not_found_before, "lost"),
        (_unknown_status, "status"),
        (_no_retry_after, "status"),
        (_met, "left process"),
    ],
)
def test_a_spoiled_history_is_found_out(spoil: Callable[[History], None], kind: str) -> None:
    seen = history()
    spoil(seen)
    assert kinds(seen) == {kind}


def test_another_node_may_not_find_a_request_that_is_not_accepted_yet() -> None:
    seen = history()
    seen.has_peers = True
    seen.attempts.append(Attempt(0, "GET", 404, "not-found", "r0", ended_at=-1.0))
    assert kinds(seen) == set()
    seen.attempts.append(Attempt(0, "GET", 404, "not-found", "r0", ended_at=1.0))
    assert kinds(seen) == {"lost"}


def test_a_job_that_must_fail_and_does_not_is_wrong() -> None:
    assert kinds(history(WRONG)) == {"wrong"}


def test_what_fails_in_another_way_is_wrong() -> None:
    seen = history(WRONG)
    seen.endings = {0: replace(FAILURE, type="KeyError")}
    assert kinds(seen) == {"wrong"}


@pytest.mark.parametrize(
    ("attempt", "count"),
    [
        (Attempt(0, "POST", 0), 1),
        (Attempt(0, "POST", 504, "deadline-exceeded"), 1),
        (Attempt(0, "POST", 503, "overloaded", has_retry_after=True), 0),
        (Attempt(0, "POST", 507, "store-full"), 0),
        (Attempt(0, "GET", 0), 0),
    ],
)
def test_without_a_key_there_is_a_request_for_each_post_that_may_have_begun_it(
    attempt: Attempt, count: int
) -> None:
    seen = history(replace(ASK, key=None))
    seen.attempts.append(attempt)
    seen.stored.append(Stored(0, "r1", "succeeded"))
    assert kinds(seen) == (set() if count else {"doubled"})


def test_what_never_came_to_its_receiver_is_found_out() -> None:
    seen = history(POSTED)
    seen.delivered["http"].clear()
    assert kinds(seen) == {"undelivered"}


def test_what_came_with_other_pairs_is_wrong() -> None:
    seen = history(POSTED)
    seen.delivered["http"] = [Delivered("w/r0", "other", 1.0)]
    assert kinds(seen) == {"wrong"}


@pytest.mark.parametrize(
    ("struck", "found"),
    [
        ([], {"delivered twice"}),
        ([Struck("kill node", 20.0, 21.0)], {"delivered twice"}),
        ([Struck("kill node", 2.0, 2.0)], set()),
    ],
)
def test_a_result_comes_twice_only_after_a_fault(struck: list[Struck], found: set[str]) -> None:
    seen = history(POSTED)
    seen.delivered["http"].append(Delivered("w/r0", DIGEST, 3.0))
    seen.struck = struck
    assert kinds(seen) == found


@pytest.mark.parametrize("name", JOBS)
def test_a_plan_is_what_its_seed_says(name: str) -> None:
    asks = [plan.ask(7, number, (name,)) for number in range(3)]
    assert asks == [plan.ask(7, number, (name,)) for number in range(3)]
    assert [ask.digest is None for ask in asks] == [ask.failing is not None for ask in asks]


def test_strikes_are_what_their_seed_says() -> None:
    first, second = (plan.strikes(7, plan.FAULTS, 1.0) for _ in range(2))
    assert [next(first) for _ in range(50)] == [next(second) for _ in range(50)]
