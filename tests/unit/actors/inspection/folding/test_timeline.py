from __future__ import annotations

from typing import Any, Final

import pytest

from jobx import questions
from jobx.actors.inspection.folding import glance, pages, timeline
from jobx.actors.inspection.folding.fold import Fold
from jobx.actors.request.spans import Span
from jobx.errors import InvalidInput
from jobx.payload import pack_offsets

KEY: Final[Any] = {"workflow": "w", "request_id": "r"}


def ran(count: int, executors: int = 2) -> Fold:
    """Return a request whose children ran for a second each, one after the other by executor."""
    fold = Fold(lambda _: ())
    fold.take(0, glance.Accepted(10.0, "fan", "p", "n1"))
    fold.take(1, glance.Mapped(10.0, 0, 0, "leaf", 1, count))
    for vertex in range(1, count + 1):
        ended_at = 11.0 + (vertex - 1) // executors
        spent = pack_offsets([600_000, 0, 400_000])
        where = Span(100 + vertex % executors, 1_000_000, 1_000_000)
        done = glance.Done(ended_at, "map", 1, vertex, 1, "reduced", 0, spent, "", where)
        fold.take(vertex + 1, done)
    return fold


def test_few_runs_are_bars_in_lanes_of_their_executors() -> None:
    view = timeline.of(ran(4), questions.GetTimeline(**KEY))
    assert view.bars is not None
    assert [(bar.invocation_id, bar.started_at, bar.duration_s) for bar in view.bars] == [
        ("m1", 10.0, 1.0), ("m2", 10.0, 1.0), ("m3", 11.0, 1.0), ("m4", 11.0, 1.0),
    ]  # fmt: skip
    assert [view.lanes[bar.lane] for bar in view.bars] == ["n1 101", "n1 100"] * 2
    assert (view.from_at, view.until_at) == (10.0, 12.0)


def test_bars_are_those_within_the_time_that_is_asked_for() -> None:
    asked = questions.GetTimeline(**KEY, from_at=11.5, until_at=11.6)
    view = timeline.of(ran(6), asked)
    assert view.bars is not None
    assert [bar.invocation_id for bar in view.bars] == ["m3", "m4"]


def test_many_runs_are_columns_of_how_many_ran_at_once() -> None:
    view = timeline.of(ran(timeline.MAX_BARS + 2), questions.GetTimeline(**KEY, width=5))
    assert view.columns is not None
    assert [column.running for column in view.columns] == [{"leaf": pytest.approx(2, abs=0.01)}] * 5
    assert view.columns[-1].at + view.columns[-1].width_s == pytest.approx(view.until_at)


def failed_bars(last: glance.Glance) -> list[tuple[str, float, float, str]]:
    fold = ran(1)
    fold.take(3, last)
    view = timeline.of(fold, questions.GetTimeline(**KEY))
    assert view.bars is not None
    return [
        (bar.invocation_id, bar.started_at, bar.duration_s, view.lanes[bar.lane])
        for bar in view.bars
        if bar.state == "failed"
    ]


FAULT = glance.Fault("author", "ValueError", "no")
RAN: Final[Any] = {"node": "there", "span": Span(7, 2_000_000, 1_500_000)}


@pytest.mark.parametrize(
    "last",
    [
        glance.Retried(13.0, "map", 1, 1, 1, 2, 0.0, FAULT, **RAN),
        glance.Failed(13.0, "map", 0, 0, 1, FAULT, **RAN),
    ],
)
def test_attempts_that_failed_are_shown_where_and_when_they_ran(last: glance.Glance) -> None:
    ((_, *where),) = failed_bars(last)
    assert where == [11.0, 1.5, "there 7"]


def test_attempts_of_older_logs_are_shown_when_they_ended() -> None:
    ((name, at, took_s, _),) = failed_bars(glance.Retried(13.0, "map", 1, 1, 1, 2, 0.0, FAULT))
    assert (name, at, took_s) == ("m1", 13.0, 0.0)


def test_the_row_of_a_mapper_that_failed_says_when_it_ran() -> None:
    fold = ran(1)
    fold.take(3, glance.Failed(13.0, "map", 0, 0, 1, FAULT, **RAN))
    fold.take(4, glance.Finished(13.5, "failed"))
    asked = questions.ListInvocations(**KEY, state="failed", kind="map")
    (row,) = pages.invocations(fold, asked).invocations
    assert (row.started_at, row.duration_s, row.executor) == (11.0, 1.5, 7)


def test_end_before_the_beginning_is_refused() -> None:
    with pytest.raises(InvalidInput, match="is before from"):
        timeline.of(ran(1), questions.GetTimeline(**KEY, until_at=-1.0))


@pytest.mark.parametrize(
    ("name", "instants"),
    [
        ("from", {"from_at": -1e308, "until_at": 1e308}),
        ("to", {"until_at": 1e308}),
        ("from", {"from_at": float("nan")}),
    ],
)
def test_instants_whose_distance_is_no_number_are_refused(
    name: str, instants: dict[str, float]
) -> None:
    with pytest.raises(InvalidInput, match=f"^{name}: must be at most"):
        timeline.of(ran(1), questions.GetTimeline(**KEY, **instants))


@pytest.mark.parametrize("count", [1, timeline.MAX_BARS + 2])
@pytest.mark.parametrize("from_at", [-timeline.FARTHEST_S, timeline.FARTHEST_S])
def test_instants_far_away_are_shown(count: int, from_at: float) -> None:
    asked = questions.GetTimeline(**KEY, from_at=from_at, until_at=timeline.FARTHEST_S)
    assert timeline.of(ran(count), asked).until_at == timeline.FARTHEST_S
