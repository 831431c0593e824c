from __future__ import annotations

from typing import Any

import pytest

from jobx.errors import Draining, JobxError, Overloaded, Unavailable
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
    def __init__(self, *answers: SummaryView | JobxError) -> None:
        self._answers = iter(answers)

    def call(self, _: object, timeout_s: float) -> SummaryView:
        assert timeout_s > 0
        answer = next(self._answers)
        if isinstance(answer, JobxError):
            raise answer
        return answer


def test_it_is_asked_until_all_of_the_log_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    gateway: Any = Gateway(part(1), part(1001), WHOLE)
    found = whole.ask(gateway, ASKED)
    whole.say_rest(found)
    assert (found, capsys.readouterr().out) == (WHOLE, "")


def test_what_was_read_in_time_is_shown_with_a_remark(capsys: pytest.CaptureFixture[str]) -> None:
    gateway: Any = Gateway(part(1001))
    whole.say_rest(whole.ask(gateway, ASKED, seconds=-1.0))
    assert capsys.readouterr().out.startswith("1,001 of 2,001 events are read")


def test_reader_that_died_is_asked_again() -> None:
    died, busy = Unavailable("the reader died", 0.001), Overloaded("too much is asked", 0.001)
    gateway: Any = Gateway(died, part(1), busy, died, part(1001), died, WHOLE)
    assert whole.ask(gateway, ASKED) == WHOLE


def test_reader_that_dies_each_time_is_told_of() -> None:
    gateway: Any = Gateway(*[Unavailable("the reader died", 0.001)] * whole.TRIES, WHOLE)
    with pytest.raises(Unavailable, match="the reader died"):
        whole.ask(gateway, ASKED)


@pytest.mark.parametrize(
    "error", [Draining("the node is stopping", 0.001), Unavailable("there is none", 0.0)]
)
def test_what_does_not_pass_is_told_of_at_once(error: Unavailable) -> None:
    gateway: Any = Gateway(error, WHOLE)
    with pytest.raises(Unavailable, match=error.reason):
        whole.ask(gateway, ASKED)


def test_it_is_not_asked_again_beyond_its_time() -> None:
    gateway: Any = Gateway(Unavailable("the reader died", 60.0), WHOLE)
    with pytest.raises(Unavailable, match="the reader died"):
        whole.ask(gateway, ASKED, seconds=1.0)
