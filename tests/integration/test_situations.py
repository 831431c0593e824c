"""Each situation is made with a real node, which says the first cause of it.

Situations that need servers, a full disk or long waits are in ``tests/chaos/situations``.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from jobx.actors import log_writer
from jobx.actors.coordination import coordinator
from jobx.actors.executors.pool import ExecutorPool
from jobx.actors.executors.process import Executor
from jobx.actors.messages import Ran
from jobx.errors import NotFound, StoreFull
from jobx.kv.store import CommitOutcome
from jobx.model import Retry
from jobx.segments import ReadyReport
from jobx.views import ExplainView, OpenGroup
from tests.support.authoring import ANSWER, GATED, SLEEP, WORKFLOW, define
from tests.support.explaining import begin, explain
from tests.support.http_sink import http_sink
from tests.support.live_node import LiveNode, Start, live_node, outcome_of
from tests.support.waiting import eventually

#: Maps ``n`` numbers to a step whose mappers end once a file is there.
FAN = """
def handler(arguments):
    yield Map("each")
    for number in range(arguments["n"]):
        yield number, arguments["gate"]
"""
GATE = GATED.replace("arguments", "key, value", 1).replace('arguments["gate"]', "value")
STOPS = """
import os, signal
def handler(arguments):
    yield Return()
    os.kill(os.getpid(), signal.SIGSTOP)
    yield "n", 1
"""
WRONG = "def handler(arguments):\n    yield Return()\n    raise ValueError('no such town')\n"
#: Yields so much that its reducer runs in parts.
WIDE = """
def handler(arguments):
    yield Return()
    for number in range(400):
        yield number, "x" * 10_000
    yield "slow", arguments["gate"]
"""
PART = """
import os, time
def handler(key, values):
    for value in values:
        while key == "slow" and not os.path.exists(value):
            time.sleep(0.01)
    yield key, 1
"""


def first(node: LiveNode, request_id: str, cause: str) -> OpenGroup:
    """Return the first group once it has a cause; all groups add up to what is open."""

    def found() -> OpenGroup | None:
        view = explain(node, request_id)
        counts = view.request.counts
        open_count = counts.mapped - counts.finished
        assert sum(group.count for group in view.groups) == open_count
        return view.groups[0] if view.groups and view.groups[0].cause == cause else None

    return eventually(found)  # type: ignore[return-value]  # it is true


def ended(node: LiveNode, request_id: str) -> ExplainView:
    """Return why a request is where it is, once it has ended."""
    node.ask("wait", workflow=WORKFLOW, request_id=request_id, wait_s=60.0)
    return explain(node, request_id)


def test_one_executor_one_long_invocation_and_a_request_behind_it(
    start: Start, tmp_path: Path
) -> None:
    node = start({"gated": GATED}, {"gated": ("gated", "sum")}, node__executors=1)
    ahead = begin(node, "gated", {"gate": str(tmp_path / "gate")})
    first(node, ahead, "running")
    behind = begin(node, "gated", {"gate": str(tmp_path / "gate")})

    found = eventually(lambda: _held_up(node, behind))

    assert ahead in found.says
    (tmp_path / "gate").touch()
    eventually(node.is_idle)


def _held_up(node: LiveNode, request_id: str) -> OpenGroup | None:
    (group,) = explain(node, request_id).groups
    return group if group.cause in ("queued", "behind") else None


def test_two_equal_fan_outs_take_turns(start: Start, tmp_path: Path) -> None:
    node = start({"fan": FAN, "gate": GATE}, {"fan": ("fan", "sum"), "each": ("gate", "sum")})
    arguments = {"n": 6, "gate": str(tmp_path / "gate")}
    one, other = begin(node, "fan", arguments), begin(node, "fan", arguments)

    def causes() -> set[str]:
        return {group.cause for name in (one, other) for group in explain(node, name).groups}

    eventually(lambda: {"running", "children"} <= causes() and causes() & {"queued", "behind"})

    (tmp_path / "gate").touch()
    eventually(node.is_idle)


def test_an_invocation_that_takes_longer_than_its_version_usually_does(start: Start) -> None:
    node = start({"sleep": SLEEP}, {"sleep": ("sleep", "sum")})
    for _ in range(3):
        node.post("sleep", {"ms": 1})
    slow = begin(node, "sleep", {"ms": 60_000})

    found = eventually(lambda: _slow(first(node, slow, "running")))

    assert found.usual_s is not None
    assert found.usual_s < 60.0
    assert found.helps == f"jobx invocation get {WORKFLOW} {slow} m0"
    node.ask("request.cancel", workflow=WORKFLOW, request_id=slow, reason="seen")


def test_what_a_version_usually_takes_is_known_after_a_restart(tmp_path: Path) -> None:
    define(tmp_path, {"sleep": SLEEP}, {"sleep": ("sleep", "sum")})
    with live_node(tmp_path) as node:
        node.post("sleep", {"ms": 1})
    with live_node(tmp_path) as node:
        slow = begin(node, "sleep", {"ms": 60_000})
        eventually(lambda: _slow(first(node, slow, "running")))
        node.ask("request.cancel", workflow=WORKFLOW, request_id=slow, reason="seen")


def _slow(group: OpenGroup) -> OpenGroup | None:
    return group if "longer than its version usually takes" in group.says else None


def test_a_handler_that_stops_itself_shows_no_sign_of_life(start: Start) -> None:
    node = start({"stops": STOPS}, {"stops": ("stops", "sum")})
    request_id = begin(node, "stops", {})

    found = eventually(lambda: _still(first(node, request_id, "running")))

    assert found.until_at is not None
    assert found.executor is not None
    os.kill(found.executor, signal.SIGCONT)
    assert ended(node, request_id).says == "it has succeeded"


def _still(group: OpenGroup) -> OpenGroup | None:
    return group if "no sign of life" in group.says else None


def test_a_handler_that_is_out_of_memory_is_named_with_its_limit(start: Start) -> None:
    greedy = "def handler(arguments):\n    yield Return()\n    held = bytearray(2 << 30)\n"
    limit = {"executors__memory_bytes": 512 << 20}
    node = start({"greedy": greedy}, {"greedy": ("greedy", "sum")}, **limit)
    view = ended(node, begin(node, "greedy", {}))
    assert view.request.failure is not None
    assert (view.request.failure.kind, view.request.failure.type) == ("memory", "MemoryError")
    assert "m0" in view.says
    assert "memory" in view.says


def test_a_mapper_is_suspended_while_its_window_is_full(start: Start, tmp_path: Path) -> None:
    node = start(
        {"fan": FAN, "gate": GATE},
        {"fan": ("fan", "sum"), "each": ("gate", "sum")},
        requests__window=1000,
    )
    request_id = begin(node, "fan", {"n": 5000, "gate": str(tmp_path / "gate")})

    def suspended() -> OpenGroup | None:
        groups = explain(node, request_id).groups
        return next((group for group in groups if group.cause == "window"), None)

    found = eventually(suspended)

    assert (found.invocation_id, found.awaits) == ("m0", "m1")
    assert "its window is full, from m1 of step each on" in found.says
    node.ask("request.cancel", workflow=WORKFLOW, request_id=request_id, reason="seen")


def test_a_reducer_in_parts_names_the_part_that_is_slow(start: Start, tmp_path: Path) -> None:
    node = start(
        {"wide": WIDE, "part": PART},
        {"wide": ("wide", "part")},
        {"part": {"per_key": True}},
        executors__spill_bytes=1 << 20,
    )
    request_id = begin(node, "wide", {"gate": str(tmp_path / "gate")})

    def slow() -> OpenGroup | None:
        groups = explain(node, request_id).groups
        is_slow = groups and groups[0].kind == "reduce" and groups[0].cause == "running"
        return groups[0] if is_slow else None

    found = eventually(slow)

    assert found.part is not None
    assert f"part {found.part} of its 8 parts" in found.says
    (tmp_path / "gate").touch()
    assert ended(node, request_id).says == "it has succeeded"


def test_what_is_tried_again_later_is_the_first_cause_of_a_cancellation(start: Start) -> None:
    retry = Retry(attempts=5, backoff_s=600.0, max_backoff_s=600.0)
    node = start({"wrong": WRONG}, {"wrong": ("wrong", "sum")}, {"wrong": {"retry": retry}})
    request_id = begin(node, "wrong", {})
    assert "after error 1 of 5: ValueError: no such town" in first(node, request_id, "backoff").says

    node.ask("request.cancel", workflow=WORKFLOW, request_id=request_id, reason="seen")
    view = ended(node, request_id)

    assert view.says.startswith("it was cancelled: seen")
    assert "first: m0 failed, and was tried again once: ValueError: no such town" in view.says
    (left,) = view.groups
    assert (left.cause, left.count, left.says) == ("open", 1, "had no result")


def test_a_delivery_that_is_refused_says_when_the_next_one_is(start: Start) -> None:
    with http_sink() as sink:
        sink.answer = lambda _: (500, {})
        options = {"results__writer": "http", "results__http_url": sink.url}
        node = start({"good": ANSWER}, {"good": ("good", "sum")}, **options)
        request_id = node.post("good", {}).request.request_id

        says = eventually(lambda: _refused(explain(node, request_id)))

        assert "it has succeeded; its result is sent by http" in says.says
        assert says.helps == f"jobx request deliver {WORKFLOW} {request_id}"


def _refused(view: ExplainView) -> ExplainView | None:
    return view if "is next, at" in view.says and "500" in view.says else None


class Commits:
    """Commits of a log, which wait or fail as long as they are told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.is_full = False
        self._commit = log_writer.commit
        monkeypatch.setattr(log_writer, "commit", self)

    def __call__(self, store: Any, chains: Any) -> list[CommitOutcome]:
        assert self.may_go_on.wait(60)
        if self.is_full:
            return [CommitOutcome(0, StoreFull("jobx.sqlite", "disk full"))] * len(chains)
        return self._commit(store, chains)


def test_a_silent_store_says_since_when_and_what_waits(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = Commits(monkeypatch)
    gated = ({"gated": GATED}, {"gated": ("gated", "sum")})
    node = start(*gated)
    request_id = begin(node, "gated", {"gate": str(tmp_path / "gate")})
    first(node, request_id, "running")
    commits.may_go_on.clear()
    (tmp_path / "gate").touch()

    ending = eventually(lambda: _if_ending(explain(node, request_id)))
    new = node.post_later("gated", {"gate": ""}, request_id="new", is_blocking=False)
    says = eventually(lambda: _new(node))

    assert ending.request.state == "running"
    assert "the store has been silent since" in ending.says
    assert "appends wait" in says.says
    commits.may_go_on.set()
    assert outcome_of(new).request.request_id == "new"
    assert ended(node, request_id).says == "it has succeeded"


def _if_ending(view: ExplainView) -> ExplainView | None:
    return view if view.says.startswith("it has ended") else None


def _new(node: LiveNode) -> ExplainView | None:
    try:
        view = explain(node, "new")
    except NotFound:  # it is on its way
        return None
    return view if view.says.startswith("it is not accepted yet") else None


def test_a_full_disk_names_the_folder_and_what_is_free_there(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = Commits(monkeypatch)
    node = start({"gated": GATED}, {"gated": ("gated", "sum")})
    request_id = begin(node, "gated", {"gate": str(tmp_path / "gate")})
    first(node, request_id, "running")
    commits.is_full = True
    (tmp_path / "gate").touch()

    view = eventually(lambda: _if_full(explain(node, request_id)))

    assert "no room left in jobx.sqlite: disk full" in view.says
    assert f"{tmp_path} has " in view.says
    commits.is_full = False
    assert ended(node, request_id).says == "it has succeeded"


def _if_full(view: ExplainView) -> ExplainView | None:
    return view if "bytes free" in view.says else None


def test_executors_that_die_at_each_start_say_how_many_and_how(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard, are_ill = ExecutorPool._hear, threading.Event()

    def die(self: ExecutorPool, executor: Executor, report: Any) -> None:
        """Kill who is ready before that is heard, and it gets work."""
        if not (are_ill.is_set() and isinstance(report, ReadyReport)):
            heard(self, executor, report)
        elif executor.state != "dead":
            with suppress(ProcessLookupError):
                os.kill(report.pid, signal.SIGKILL)

    monkeypatch.setattr(ExecutorPool, "_hear", die)
    node = start({"good": ANSWER}, {"good": ("good", "sum")}, node__executors=1)
    are_ill.set()
    eventually(lambda: not _killed(node))
    request_id = begin(node, "good", {})

    found = eventually(lambda: _dying(first(node, request_id, "starting")))

    assert "SIGKILL" in found.says
    are_ill.clear()
    assert ended(node, request_id).says == "it has succeeded"


def _killed(node: LiveNode) -> list[Executor]:
    """Kill the executors that could take work, now or once they get a seat, and return them."""
    able = [one for one in list(node.node._executors._executors) if one.was_ready and one.pid]
    for one in able:
        with suppress(ProcessLookupError):
            os.kill(one.pid, signal.SIGKILL)
    return able


def _dying(group: OpenGroup) -> OpenGroup | None:
    return group if "times in a row" in group.says else None


def test_a_coordinator_that_died_thrice_names_the_log_to_look_at(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ArithmeticError("a fault of ours")

    node = start({"good": ANSWER}, {"good": ("good", "sum")})
    monkeypatch.setitem(coordinator._RECEIVE, Ran, fail)
    request_id = begin(node, "good", {})

    view = ended(node, request_id)

    assert "JobX itself failed: CoordinatorFailed" in view.says
    assert view.says.endswith(f"; the log of node local names {request_id}")
