from __future__ import annotations

import io
import json
from typing import Any

import pytest
from rich.console import Console

from jobx.tools.shared import live
from jobx.views import AttemptFailure, RequestView, StepSummary, SummaryView, WatchView

REQUEST = RequestView(
    request_id="r1", workflow_name="w", job_name="j", state="running", is_blocking=False,
    accepted_at=1.0,
)  # fmt: skip
STEPS = [
    StepSummary(step_name="split", depth=0, mapped=1, running=1),
    StepSummary(step_name="count", depth=1, mapped=1000, succeeded=400, failed=1, retries=3),
    StepSummary(step_name="split", depth=2, mapped=4, succeeded=1, cancelled=1),
]
FAILED = AttemptFailure(
    event=3, invocation_id="m5", step_name="count", attempt=2, type="ValueError",
    message="no\x1b[31m such\nword", is_final=False,
)  # fmt: skip


def view(*, is_end: bool = False, **more: Any) -> WatchView:
    summary = SummaryView(request=REQUEST, as_of=7, steps=STEPS)
    return WatchView(as_of=7, summary=summary, is_end=is_end, **more)


def test_a_step_is_counted_at_all_depths_together() -> None:
    assert live.counts(STEPS) == [("split", 5, 2, 0, 0), ("count", 1000, 401, 1, 3)]


def test_a_summary_is_a_line() -> None:
    summary = view().summary
    assert summary is not None
    assert live.summary_line(summary) == (
        "running: split 2 of 5; count 401 of 1,000, 1 failed, 3 retried"
    )


def test_a_failed_attempt_is_a_line_that_controls_no_terminal() -> None:
    line = live.failure_line(FAILED)
    assert line.startswith("m5 (count), attempt 2: ValueError: no")
    assert line.endswith("word; it is tried again")
    assert not {"\x1b", "\n"} & {*line}


def test_lines_tell_of_each_failure_and_seldom_of_counts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LINE_S", 3600.0)
    show = live.Lines()
    show(view())
    show(view(failures=[FAILED], hidden=2))
    show(view(is_end=True))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["running:", "…", "m5", "running:"]


def test_json_is_an_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    live.as_json(view())
    live.as_json(view(is_end=True))
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["as_of"], one["is_end"]) for one in found] == [(7, False), (7, True)]


def test_bars_show_each_step_and_the_last_failures() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, markup=False)
    with live.bars(console, is_kept=True) as show:
        show(view(failures=[FAILED], hidden=1))
        show(WatchView(as_of=8))
    text, counts = out.getvalue(), ("split", "2/5", "401/1000", "1 failed, 3 retried")
    assert all(part in text for part in (*counts, "m5", "failure before these"))
