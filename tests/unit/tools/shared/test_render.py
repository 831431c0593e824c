from __future__ import annotations

import datetime
import decimal
import io
import json
from typing import Any

import click
import msgspec
import pytest

from jobx.model import Counts, Failure
from jobx.tools.shared import render, render_trees, render_views
from jobx.views import ActorView, ExplainView, RequestView, SummaryView, TraceNode, TraceView

PAIRS = [("a", 1), (b"\x00", decimal.Decimal("1.5")), ((1, 2), {"k": None})]


def _node(name: str, *children: TraceNode, **fields: Any) -> TraceNode:
    plain = {"kind": "map", "state": "succeeded", "step_name": "s", "handler_name": "h"}
    return TraceNode(invocation_id=name, children=list(children), **(plain | fields))


def _trace(root: TraceNode | None) -> TraceView:
    request = RequestView(
        request_id="r1",
        workflow_name="w",
        job_name="j",
        state="running",
        is_blocking=True,
        accepted_at=0.0,
        counts=Counts(mapped=3000, finished=1, retried=2),
    )
    return TraceView(request=request, root=root)


def test_pairs_are_one_json_document(capsys: pytest.CaptureFixture[str]) -> None:
    render.say_pairs(PAIRS, "json", "r1")

    assert json.loads(capsys.readouterr().out) == {
        "request_id": "r1",
        "result": {
            "pairs": [["a", 1], [{"$bytes": "AA=="}, {"$decimal": "1.5"}], [[1, 2], {"k": None}]]
        },
    }


def test_no_pairs_are_a_json_document_too(capsys: pytest.CaptureFixture[str]) -> None:
    render.say_pairs([], "json", "r1")

    assert json.loads(capsys.readouterr().out)["result"] == {"pairs": []}


def test_ndjson_has_a_pair_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    render.say_pairs(PAIRS[:1] * 2, "ndjson", "r1")

    assert capsys.readouterr().out == '["a", 1]\n["a", 1]\n'


def test_table_has_a_pair_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    render.say_pairs(PAIRS[:1], "table", "r1")

    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["key", "value"],
        ["a", "1"],
    ]


def test_table_of_many_pairs_is_aligned_by_the_widest_key_so_far(
    capsys: pytest.CaptureFixture[str],
) -> None:
    render.say_pairs([("a", 1)] * 1000 + [("日本" * 3, 2), ("b", 3)], "table", "r1")

    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] + lines[-3:] == [
        *("key  value", "a    1"),
        *("a    1", "日本日本日本  2", "b             3"),
    ]


def test_table_cuts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    render.say_table(["x"], [["y" * 500]])

    assert "y" * 500 in capsys.readouterr().out


def test_markup_in_a_value_stays_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    render.say_fields({"name": "[red]x[/red] :smile:"})

    assert "[red]x[/red] :smile:" in capsys.readouterr().out


def test_trace_shows_state_step_attempt_duration_and_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    failure = Failure(kind="author", type="ValueError", message="no", handler_name="h", input="7")
    bad = _node("i2", state="failed", attempt=3, failure=failure)
    render_trees.say_trace(_trace(_node("i1", bad, duration_s=0.0125, hidden=990)))

    assert capsys.readouterr().out.splitlines() == [
        "w/j r1 running  1 of 3,000 mappers finished, 2 retried",
        "└── succeeded map s/h  12.5 ms  i1",
        "    ├── failed map s/h  attempt 3  ValueError: no (in h on 7)  i2",
        "    └── … 990 more",
    ]


@pytest.mark.parametrize(("other", "is_shown"), [("b", True), ("a", False)])
def test_trace_shows_nodes_if_there_are_several(
    capsys: pytest.CaptureFixture[str], other: str, *, is_shown: bool
) -> None:
    view = _trace(_node("m0", _node("m1", node_id=other), node_id="a"))
    request = msgspec.structs.replace(view.request, coordinator="a")
    render_trees.say_trace(msgspec.structs.replace(view, request=request))
    _, root, child = capsys.readouterr().out.splitlines()
    assert ("  on a" in root, f"  on {other}" in child) == (is_shown, is_shown)


def test_trace_keeps_the_order_of_children(capsys: pytest.CaptureFixture[str]) -> None:
    render_trees.say_trace(_trace(_node("i0", _node("i1"), _node("i2"), _node("i3"))))

    ends = [line.split()[-1] for line in capsys.readouterr().out.splitlines()[1:]]
    assert ends == ["i0", "i1", "i2", "i3"]


def test_trace_of_a_request_without_invocations_is_its_head(
    capsys: pytest.CaptureFixture[str],
) -> None:
    render_trees.say_trace(_trace(None))

    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize(
    ("state", "says", "line"),
    [
        ("succeeded", "it has succeeded", "request w/r has succeeded"),
        ("cancelled", "it was cancelled: seen", "request w/r was cancelled: seen"),
        ("failed", "its handler failed in m0", "request w/r has failed: its handler failed in m0"),
        ("running", "m0 of step s: runs", "request w/r is running: m0 of step s: runs"),
    ],
)
def test_an_explanation_says_the_state_once(
    state: Any, says: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    request = RequestView(
        request_id="r", workflow_name="w", job_name="j", state=state, is_blocking=True,
        accepted_at=1.0,
    )  # fmt: skip
    render_trees.say_explanation(ExplainView(request=request, says=says))
    assert capsys.readouterr().out == f"{line}\n"


def test_a_summary_says_the_state_and_as_of_which_event(
    capsys: pytest.CaptureFixture[str],
) -> None:
    request = RequestView(
        request_id="r", workflow_name="w", job_name="j", state="failed", is_blocking=True,
        accepted_at=1.0,
    )  # fmt: skip
    render_views.say_summary(SummaryView(request=request, as_of=7, steps=[], failures=[]))
    assert capsys.readouterr().out.splitlines()[0] == "request w/r: failed, as of event 7"


def test_actors_show_their_mailboxes(capsys: pytest.CaptureFixture[str]) -> None:
    child = ActorView(address="n-1-2", name="Coordinator", state="running", mailbox=4, age_s=61.0)
    top = ActorView(
        address="n-1-1", name="Supervisor", state="idle", mailbox=0, age_s=0.5, children=[child]
    )
    render_trees.say_actors([top])

    assert capsys.readouterr().out.splitlines() == [
        "Supervisor idle  mailbox 0  500 ms  n-1-1",
        "└── Coordinator running  mailbox 4  1 min 01 s  n-1-2",
    ]


@pytest.mark.parametrize("form", ["json", "ndjson", "table"])
def test_pairs_keep_what_json_has_no_word_for(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    at = datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC)
    render.say_pairs([(at, b"x")], form, "r1")
    written = capsys.readouterr().out
    assert '{"$timestamp": "2024-01-02T00:00:00+00:00"}' in written
    assert '{"$bytes": "eA=="}' in written


def test_tags_that_entities_and_views_hold_stay_as_they_are() -> None:
    tagged = {"arguments": {"x": {"$bytes": "eA=="}}}
    assert json.loads(render.to_json(tagged)) == tagged


@pytest.mark.parametrize(("variable", "coloured"), [("TERM", True), ("NO_COLOR", False)])
def test_colour_is_for_terminals_that_want_it(
    variable: str, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(variable, "xterm")
    screen = _Terminal()
    monkeypatch.setattr("sys.stdout", screen)

    render.say_table(["state"], [["failed"]])

    assert ("\x1b[31m" in screen.getvalue()) == coloured


def test_no_colour_goes_into_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    render.say_table(["state"], [["failed"]])

    assert "\x1b" not in capsys.readouterr().out


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class _Screen:
    """A terminal of so many columns; gives the lines of a table of rows."""

    def __init__(self, patch: pytest.MonkeyPatch, columns: int) -> None:
        self._stream = _Terminal()
        patch.setattr("sys.stdout", self._stream)
        patch.setenv("COLUMNS", str(columns))

    def show(self, columns: list[str], *rows: list[object]) -> list[str]:
        render.say_table(columns, rows)
        return click.unstyle(self._stream.getvalue()).splitlines()


ID = "01m8p287prq5w0vnkgnf000001"
LONG = "no such word in a dictionary " * 6


@pytest.mark.parametrize("columns", [80, 100])
def test_a_table_fits_a_terminal_and_wraps_between_words(
    monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    lines = _Screen(monkeypatch, columns).show(["id", "state", "error"], [ID, "failed", LONG])
    assert max(map(len, lines)) <= columns
    assert all(set(line[34:].split()) <= {"error", *LONG.split()} for line in lines)
    assert " ".join(line[36:].strip() for line in lines[1:]).split() == LONG.split()
    assert lines[1].split()[:2] == [ID, "failed"]


def test_a_row_whose_words_are_too_long_for_a_terminal_is_a_line_a_cell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [f"column{number}" for number in range(4)]
    lines = _Screen(monkeypatch, 80).show(names, [ID, ID, ID, 1], [ID, ID, ID, 2])
    assert lines[:5] == [f"column0  {ID}", f"column1  {ID}", f"column2  {ID}", "column3  1", ""]
    assert lines[8] == "column3  2"


def test_a_table_that_fits_a_terminal_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = _Screen(monkeypatch, 80).show(["id", "state"], [ID, "failed"])
    assert lines == [f"{'id':26}  state", f"{ID}  failed"]


@pytest.mark.parametrize("wall_at", [1e12, -1e14, 1e20, float("inf"), float("nan")])
def test_instant_of_a_clock_that_was_far_off_is_shown_as_seconds(wall_at: float) -> None:
    assert render.instant(wall_at) == f"{wall_at:g} s after 1970"
