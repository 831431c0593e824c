"""A real node whose coordinators fail."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from jobx.actors.coordination import coordinator
from jobx.actors.messages import Ran
from jobx.views import Outcome
from tests.support.authoring import ANSWER, COUNT, FAN, WORKFLOW
from tests.support.live_node import Start, failure_of, outcome_of, pairs_of
from tests.support.waiting import eventually


def test_coordinator_that_fails_is_built_again_from_its_log(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail = FailingRan(3)
    monkeypatch.setitem(coordinator._RECEIVE, Ran, fail)
    node = start({"fan": FAN, "each": COUNT}, {"fan": ("fan", "sum"), "each": ("each", "sum")})

    assert pairs_of(node.post("fan", {"n": 2000}, is_blocking=True)) == [("n", 2000)]
    assert fail.left == 0
    eventually(node.is_idle)


def test_coordinator_that_fails_too_often_fails_its_request_alone(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(coordinator._RECEIVE, Ran, FailingRan(1000, "fan"))
    node = start(
        {"fan": FAN, "each": COUNT, "good": ANSWER},
        {"fan": ("fan", "sum"), "each": ("each", "sum"), "good": ("good", "sum")},
    )
    accepted = outcome_of(node.post_later("fan", {"n": 10}, is_blocking=False)).request

    outcome = node.ask("wait", workflow=WORKFLOW, request_id=accepted.request_id, wait_s=60.0)

    failure = failure_of(msgspec.convert(outcome, Outcome))
    assert (failure.kind, failure.type) == ("internal", "CoordinatorFailed")
    assert pairs_of(node.post("good", {})) == [("answer", 42)]
    eventually(node.is_idle)


class FailingRan:
    """Fails ``left`` times instead of taking an executor's answer, then takes it."""

    def __init__(self, left: int, job: str | None = None) -> None:
        self.left = left
        self._job = job
        self._ran = coordinator._RECEIVE[Ran]

    def __call__(self, actor: Any, message: Ran, sender: Any) -> None:
        if self.left and self._job in (None, actor._journal.request.job_name):
            self.left -= 1
            raise ArithmeticError("a fault of ours")
        self._ran(actor, message, sender)
