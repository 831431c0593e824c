"""A real node that moves work between its executors; what must not wait for it waits for a gate."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from jobx.actors.coordination import work_frames
from tests.support.authoring import ANSWER, FAN, WORKFLOW, define
from tests.support.live_node import LiveNode, Start, live_node, outcome_of, pairs_of
from tests.support.waiting import eventually

QUICK = 40
FANNED = {"fan": ("fan", "sum"), "each": ("each", "sum")}
#: The first sibling ends when all others have left their mark; then ``LAST`` happens.
GATED = """
import os, signal, time
def handler(key, value):
    yield Return()
    if value:
        open(os.path.join("MARKS", str(value)), "w").close()
    else:
        while len(os.listdir("MARKS")) < QUICK:
            time.sleep(0.005)
        LAST
    yield "n", 1
"""
DIE_ONCE = "os.path.exists('ONCE') or (open('ONCE', 'w').close(), os.kill(os.getpid(), 9))"
#: Is slow, and marks the executor, until the gate is open.
SHORT = """
import os, time
def handler(key, value):
    yield Return()
    if not os.path.exists("GATE"):
        open(os.path.join("MARKS", str(os.getpid())), "w").close()
        time.sleep(0.1)
    yield "n", 1
"""


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    """Return the folder in which invocations leave marks."""
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder


@pytest.fixture
def long_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let executors never end a batch by themselves."""
    monkeypatch.setattr(work_frames, "BATCH_LIMIT_S", 3600.0)


def gated(marks: Path, last: str = "pass") -> dict[str, str]:
    source = GATED.replace("LAST", last).replace("ONCE", str(marks.parent / "once"))
    return {"fan": FAN, "each": source.replace("MARKS", str(marks)).replace("QUICK", str(QUICK))}


def short(marks: Path) -> dict[str, str]:
    source = SHORT.replace("MARKS", str(marks)).replace("GATE", str(marks.parent / "gate"))
    return {"fan": FAN, "each": source, "answer": ANSWER}


def are_all_at_work(node: LiveNode, marks: Path) -> bool:
    return {path.name for path in marks.iterdir()} == set(map(str, node.pids()))


@pytest.mark.usefixtures("long_batches")
@pytest.mark.parametrize("executors", [2, 3])
def test_siblings_behind_a_slow_one_are_run_elsewhere(
    executors: int, start: Start, marks: Path
) -> None:
    node = start(gated(marks), FANNED, {"each": {"time_limit_s": 120.0}}, node__executors=executors)

    outcome = node.post("fan", {"n": QUICK + 1})

    assert pairs_of(outcome) == [("n", QUICK + 1)]
    assert outcome.request.counts.retried == 0


@pytest.mark.usefixtures("long_batches")
def test_death_in_a_batch_that_was_taken_back_in_part_counts_nothing_twice(
    start: Start, marks: Path
) -> None:
    node = start(gated(marks, DIE_ONCE), FANNED, {"each": {"time_limit_s": 120.0}})

    assert pairs_of(node.post("fan", {"n": QUICK + 1})) == [("n", QUICK + 1)]
    assert (marks.parent / "once").exists()


@pytest.mark.usefixtures("long_batches")
def test_small_request_is_answered_while_a_large_one_has_all_executors(
    start: Start, marks: Path
) -> None:
    """One after the other, the invocations of the large one would take longer than is waited."""
    node = start(short(marks), {**FANNED, "small": ("answer", "sum")})
    large = node.post_later("fan", {"n": 2000})
    eventually(lambda: are_all_at_work(node, marks))

    assert pairs_of(node.post("small", {})) == [("answer", 42)]

    assert not large.done()
    (marks.parent / "gate").touch()
    assert pairs_of(outcome_of(large)) == [("n", 2000)]


@pytest.mark.usefixtures("long_batches")
def test_cancelled_batch_frees_its_executors_and_costs_none(start: Start, marks: Path) -> None:
    node = start(short(marks), FANNED)
    before = node.pids()
    running = node.post_later("fan", {"n": 2000}, is_blocking=False)
    request_id = outcome_of(running).request.request_id
    eventually(lambda: are_all_at_work(node, marks))

    node.ask("request.cancel", workflow=WORKFLOW, request_id=request_id, reason="enough")

    eventually(node.is_idle)
    assert node.pids() == before


def test_node_that_stops_in_the_middle_of_batches_has_no_fault(
    tmp_path: Path, marks: Path, caplog: pytest.LogCaptureFixture
) -> None:
    define(tmp_path, short(marks), FANNED)
    with live_node(tmp_path) as node:
        node.post_later("fan", {"n": 2000}, is_blocking=False)
        eventually(lambda: are_all_at_work(node, marks))

    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
