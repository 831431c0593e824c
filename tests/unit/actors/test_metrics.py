from __future__ import annotations

from array import array

import pytest

from jobx.actors import metrics
from jobx.actors.metrics import Metrics
from jobx.counting import LONG_S
from jobx.questions import HttpCount


def test_a_batch_counts_each_kind_of_its_invocations() -> None:
    counted = Metrics()
    spent_us = array("I", [2_000, 2_000, 0, 0, 20_000, 20_000])
    counted.returned("flow", "words", ("map", "reduce"), 2, spent_us)
    assert {key: cell.count for key, cell in counted.ran_s.items()} == {
        ("flow", "words", "map"): 2,
        ("flow", "words", "reduce"): 2,
    }
    assert counted.ran_s["flow", "words", "reduce"].total == pytest.approx(0.04)


def test_one_invocation_counts_as_a_batch_of_one() -> None:
    counted = Metrics()
    counted.returned("flow", "words", ("map", "combine"), 1, array("I", [2_000, 20_000, 0]))
    assert counted.ran_s["flow", "words", "combine"].total == pytest.approx(0.02)


def test_the_waits_of_a_batch_spread_over_the_time_that_it_ran() -> None:
    counted = Metrics()
    counted.waited("flow", "words", 3, 1.0, 2.0)  # 1, 2 and 3 s
    counted.waited("flow", "words", 1, 0.5, 7.0)
    cell = counted.queued_s["flow", "words"]
    assert (cell.count, cell.total) == (4, pytest.approx(6.5))


def test_tries_that_fail_say_whether_they_are_retried() -> None:
    counted = Metrics()
    counted.unsuccessful("flow", "words", "map", is_retried=True)
    counted.unsuccessful("flow", "words", "map", is_retried=False)
    outcomes = [key[-1] for key in counted.unsuccessful_tries]
    assert outcomes == ["retried", "failed"]


def report(sent_bytes: int) -> list[HttpCount]:
    return [HttpCount(("GET", "/", "200"), [1] + [0] * len(LONG_S), 0.0, sent_bytes)]


def test_a_report_that_comes_again_counts_once_and_a_restarted_web_worker_adds() -> None:
    counted = Metrics()
    for worker, number in (("a", 1), ("a", 1), ("a", 2), ("b", 1), ("a", 2)):
        counted.add_http(worker, number, report(10))
    assert counted.http_s["GET", "/", "200"].count == 3
    assert counted.http_sent["/",].value == 30


def test_reports_are_remembered_of_the_latest_web_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MAX_WORKERS", 2)
    counted = Metrics()
    for worker in ("a", "b", "a", "c"):  # b is forgotten
        counted.add_http(worker, 1, report(1))
    counted.add_http("a", 1, report(1))
    assert counted.http_sent["/",].value == 3
