from __future__ import annotations

from typing import Any

import pytest

from jobx.questions import GetSummary
from jobx.tools.shared import whole
from jobx.views import Reading, RequestView, SummaryView

REQUEST = RequestView(
    request_id="r1", workflow_name="w", job_name="j", state="running", is_blocking=False,
    accepted_at=1.0,
)  # fmt: skip
ASKED = GetSummary(workflow="w", request_id="r1")
WHOLE = SummaryView(request=REQUEST, as_of=2000)


def part(events: int) -> SummaryView:
    reading = Reading(events=events, of=2001)
    return SummaryView(request=REQUEST, as_of=events - 1, reading=reading)


class Gateway:
    def __init__(self, *answers: SummaryView) -> None:
        self._answers = iter(answers)

    def call(self, _: object, timeout_s: float) -> SummaryView:
        assert timeout_s > 0
        return next(self._answers)


def test_it_is_asked_until_all_of_the_log_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    gateway: Any = Gateway(part(1), part(1001), WHOLE)
    found = whole.ask(gateway, ASKED)
    whole.say_rest(found)
    assert (found, capsys.readouterr().out) == (WHOLE, "")


def test_what_was_read_in_time_is_shown_with_a_remark(capsys: pytest.CaptureFixture[str]) -> None:
    gateway: Any = Gateway(part(1001))
    whole.say_rest(whole.ask(gateway, ASKED, seconds=-1.0))
    assert capsys.readouterr().out.startswith("1,001 of 2,001 events are read")
