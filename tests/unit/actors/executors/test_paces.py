from __future__ import annotations

from jobx.actors.executors.paces import KEPT, LONG_S, Paces
from jobx.actors.executors.process import WorkItem
from jobx.actors.messages import RequestKey
from jobx.actors.runtime.address import Address
from tests.support.work import map_work


def item(step: str = "s", job: str = "j", workflow: str = "w") -> WorkItem:
    work = map_work(step=step, job=job)
    return WorkItem(1, RequestKey(workflow, "r"), work, Address("n", 1, 1))


def test_what_is_not_known_is_short() -> None:
    assert not Paces().is_long(item())


def test_step_that_took_long_is_long_and_so_is_its_job() -> None:
    paces = Paces()
    paces.ended(item(), LONG_S)
    assert paces.is_long(item())
    assert paces.is_of_long_job(item("other"))
    assert not paces.is_long(item("other"))
    assert not paces.is_of_long_job(item(workflow="other"))


def test_step_that_became_much_quicker_is_short_again() -> None:
    paces = Paces()
    paces.ended(item(), LONG_S)
    paces.ended(item(), 0.6 * LONG_S)
    assert paces.is_long(item())
    paces.ended(item(), 0.4 * LONG_S)
    assert not paces.is_long(item())


def test_invocation_that_goes_on_shows_that_it_is_long() -> None:
    paces = Paces()
    assert not paces.saw(item(), 0.9 * LONG_S)
    assert paces.saw(item(), LONG_S)
    assert paces.is_long(item())


def test_usual_times_outlast_a_life() -> None:
    before, after = Paces(), Paces()
    before.ended(item(), 2.0)
    before.ended(item("other"), 0.5)
    after.recall(before.usual_times())
    assert (after.usual_s(item()), after.usual_s(item("other"))) == (2.0, 0.5)
    assert not after.is_long(item())
    assert after.usual_times() == before.usual_times()


def test_what_this_life_has_seen_counts_more_than_an_earlier_one() -> None:
    before, after = Paces(), Paces()
    before.ended(item(), 2.0)
    after.ended(item(), 0.5)
    after.recall(before.usual_times())
    assert after.usual_s(item()) == 0.5


def test_usual_times_of_the_versions_that_ran_last_are_kept() -> None:
    paces = Paces()
    for number in range(KEPT + 1):
        paces.ended(item(f"s{number}"), 1.0)
    paces.ended(item("s0"), 1.0)
    kept = [one.step for one in paces.usual_times()]
    assert (len(kept), kept[:2], "s1" in kept) == (KEPT, ["s0", f"s{KEPT}"], False)
