"""Somebody sets the clock of the machine a day ahead or back, between two runs of a node or in one.

What is promised in seconds keeps its length: nothing goes early, and nothing stays for ever.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from jobx.actors import lifetime, upkeep
from jobx.actors.clock import ServiceClock, boot_s
from jobx.errors import NotFound
from jobx.views import RequestView
from tests.support.authoring import ANSWER, SLEEP, define
from tests.support.live_node import LiveNode, live_node, outcome_of, trace_of
from tests.support.waiting import eventually

DAY_S = 86_400.0
#: Longer than any test takes: what is kept goes when a test lets that time pass.
RETENTION_S = 3600.0
HANDLERS = {"answer": ANSWER, "sleep": SLEEP}
STEPS = {"answer": ("answer", "sum"), "sleep": ("sleep", "sum")}


class Wall:
    """A wall clock that can be set, on a machine whose time can pass at once."""

    def __init__(self) -> None:
        self.off_s = 0.0
        self._passed_s = 0.0

    def at(self) -> float:
        """Return what it says."""
        return time.time() + self.off_s + self._passed_s

    def since_boot_s(self) -> float:
        """Return how long the machine has run."""
        return boot_s() + self._passed_s

    def pass_retention(self) -> None:
        """Let all expire that has ended by now, though the wall clock is far behind."""
        self._passed_s += 2 * RETENTION_S


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    wall = Wall()
    clock = partial(ServiceClock, wall_at=wall.at, since_s=wall.since_boot_s)
    monkeypatch.setattr(lifetime, "ServiceClock", clock)
    monkeypatch.setattr(upkeep, "SWEEP_S", 0.2)
    return wall


@contextmanager
def started(folder: Path) -> Iterator[LiveNode]:
    """Start a node that keeps what has ended for an hour."""
    with live_node(folder, requests__retention_s=RETENTION_S) as node:
        yield node


def is_kept(node: LiveNode, request_id: str) -> bool:
    """Whether a request is there."""
    try:
        node.ask("request.get", workflow="w", request_id=request_id)
    except NotFound:
        return False
    return True


@pytest.mark.parametrize("jump_s", [DAY_S, -DAY_S], ids=["ahead", "back"])
def test_a_clock_that_is_set_while_a_node_runs_ends_nothing_and_keeps_nothing(
    jump_s: float, wall: Wall, tmp_path: Path
) -> None:
    define(tmp_path, HANDLERS, STEPS)
    with started(tmp_path) as node:
        ended = node.post("answer", {}).request
        slow = node.post_later("sleep", {"ms": 1500}, time_limit_s=60.0)
        wall.off_s = jump_s
        eventually(lambda: node.status().queued_batches == 0)
        assert is_kept(node, ended.request_id)
        outcome = outcome_of(slow)
        assert outcome.request.state == "succeeded"
        assert 1.0 < took_s(outcome.request) < 60.0
        assert 1.0 < (trace_of(node, outcome).duration_s or 0.0) < 60.0
        after = node.post("answer", {}).request
        wall.pass_retention()
        for one in (ended, outcome.request, after):
            eventually(lambda gone=one: not is_kept(node, gone.request_id), timeout_s=60)


def took_s(request: RequestView) -> float:
    """Return how long a request took by what it says of itself."""
    assert request.finished_at is not None
    return request.finished_at - request.accepted_at


@pytest.mark.parametrize("jump_s", [DAY_S, -DAY_S], ids=["ahead", "back"])
def test_a_clock_that_is_set_between_two_runs_ends_nothing_and_keeps_nothing(
    jump_s: float, wall: Wall, tmp_path: Path
) -> None:
    define(tmp_path, HANDLERS, STEPS)
    with started(tmp_path) as node:
        ended = node.post("answer", {}).request
        slow = node.post("sleep", {"ms": 600_000}, is_blocking=False).request
    wall.off_s = jump_s
    with started(tmp_path) as node:
        assert is_kept(node, ended.request_id)
        open_id = slow.request_id
        assert node.ask("request.get", workflow="w", request_id=open_id)["state"] == "running"
        wall.pass_retention()
        eventually(lambda: not is_kept(node, ended.request_id), timeout_s=60)
        assert is_kept(node, open_id)
        node.ask("request.cancel", workflow="w", request_id=open_id, reason="")
        wall.pass_retention()
        eventually(lambda: not is_kept(node, open_id), timeout_s=60)
