from __future__ import annotations

from jobx.actors.cluster.recent_work import QUIET_S, RecentWork


def test_a_workflow_has_recent_work_for_a_moment() -> None:
    work = RecentWork()
    work.note("w", 10.0)
    assert work.workflows(10.0 + QUIET_S / 2) == ["w"]
    assert work.workflows(10.0 + QUIET_S) == []


def test_further_work_of_a_workflow_is_recent_again() -> None:
    work = RecentWork()
    work.note("w", 10.0)
    work.note("w", 20.0)
    assert work.workflows(20.0) == ["w"]


def test_a_workflow_that_is_left_has_no_recent_work() -> None:
    work = RecentWork()
    work.note("w", 10.0)
    work.forget("w")
    assert work.workflows(10.0) == []


def test_work_for_others_alone_is_recent_for_a_moment() -> None:
    work = RecentWork()
    work.note_foreign("w", ["gpu"], 10.0)
    assert work.foreign(10.0 + QUIET_S / 2) == {("w", frozenset({"gpu"}))}
    assert work.foreign(10.0 + QUIET_S) == set()


def test_work_for_others_alone_is_told_apart_by_what_it_requires() -> None:
    work = RecentWork()
    work.note_foreign("w", ["gpu"], 10.0)
    work.note_foreign("w", ["disk"], 10.0)
    assert len(work.foreign(10.0)) == 2
