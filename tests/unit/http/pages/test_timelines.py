from __future__ import annotations

from jobx.http.pages import timelines
from jobx.views import Bar, Column, InvocationState, TimelineView


def bar(number: int, state: InvocationState = "succeeded") -> Bar:
    return Bar(
        invocation_id=f"m{number}",
        step_name="s",
        state=state,
        started_at=float(number),
        duration_s=float(number % 7),
    )


def test_table_has_what_failed_and_what_took_longest() -> None:
    bars = [bar(number, "failed" if number % 500 == 3 else "succeeded") for number in range(2000)]
    table = timelines.table(TimelineView(as_of=1, from_at=0.0, until_at=1.0, bars=bars))
    assert [one.invocation_id for one in table.failed] == ["m3", "m503", "m1003", "m1503"]
    assert (len(table.longest), {one.duration_s for one in table.longest}) == (100, {6.0})


def test_table_of_columns_leaves_out_those_where_nothing_ran() -> None:
    columns = [
        Column(at=0.0, width_s=1.0, running={"s": 1.0}, failed=2),
        Column(at=1.0, width_s=1.0),
    ]
    table = timelines.table(TimelineView(as_of=1, from_at=0.0, until_at=2.0, columns=columns))
    assert (table.columns, table.failures) == (columns[:1], 2)
