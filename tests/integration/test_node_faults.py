"""A real node on a machine that has no room, and with faults of its own."""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobx.actors import log_reader, node, upkeep
from jobx.actors.coordination import coordinator
from jobx.actors.janitor import Janitor
from jobx.actors.lifetime import RUNNING
from jobx.actors.messages import Committed, Ran
from jobx.errors import StoreRefused, Unavailable
from tests.support.authoring import ANSWER, COUNT, FAN, WORKFLOW, define
from tests.support.http_sink import http_sink
from tests.support.live_node import LiveNode, Start, live_node, outcome_of, pairs_of
from tests.support.lying_store import Lies, lying_sqlite
from tests.support.processes import parent
from tests.support.waiting import eventually

GOOD = ({"good": ANSWER}, {"good": ("good", "sum")})


class FailsOnce:
    """A call that fails the first time that it should, and then does as ever."""

    def __init__(
        self, real: Callable[..., Any], error: Exception, should: Callable[..., bool] | None = None
    ) -> None:
        self.has_failed = threading.Event()
        self._real, self._error = real, error
        self._should = should or (lambda *_, **__: True)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self.has_failed.is_set() and self._should(*args, **kwargs):
            self.has_failed.set()
            raise self._error
        return self._real(*args, **kwargs)


def no_room(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(("module", "name"), [(os, "memfd_create"), (socket, "socketpair")])
def test_executor_that_cannot_be_started_is_started_later(
    module: Any,
    name: str,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    live = start(*GOOD, node__executors=1)
    fails = FailsOnce(getattr(module, name), no_room(errno.EMFILE))
    monkeypatch.setattr(module, name, fails)

    os.kill(live.pids()[0], signal.SIGKILL)
    assert fails.has_failed.wait(60)

    assert pairs_of(live.post("good", {})) == [("answer", 42)]
    assert any("an executor cannot be started now" in message for message in caplog.messages)


def test_executors_that_die_before_they_are_ready_are_told_of_as_such(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    live = start(*GOOD, node__executors=1)
    (old,) = live.pids()
    processes = live.node._executors._processes

    def is_told() -> bool:
        return "before it was ready" in caplog.text

    def kill_first(number: int, pid: int) -> None:
        processes._spawned(number, pid)
        if not is_told():  # it may have been ready all the same
            os.kill(pid, signal.SIGKILL)

    monkeypatch.setattr(processes._fork_server, "_on_spawned", kill_first)
    os.kill(old, signal.SIGKILL)

    eventually(is_told)
    assert pairs_of(live.post("good", {})) == [("answer", 42)]


def test_fork_server_that_cannot_be_started_again_is_started_later(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    live = start(*GOOD)
    fails = FailsOnce(subprocess.Popen, no_room(errno.ENOMEM))
    monkeypatch.setattr(subprocess, "Popen", fails)

    os.kill(parent(live.pids()[0]), signal.SIGKILL)
    assert fails.has_failed.wait(60)

    assert pairs_of(live.post("good", {})) == [("answer", 42)]
    assert any("fork server" in message for message in caplog.messages)


def test_node_that_has_no_room_to_start_says_so_and_starts_when_it_has(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", FailsOnce(subprocess.Popen, no_room(errno.ENOMEM)))
    with pytest.raises(Unavailable, match="Cannot allocate memory"):
        start(*GOOD)

    with live_node(tmp_path) as live:
        assert pairs_of(live.post("good", {})) == [("answer", 42)]


def test_fault_in_one_periodic_round_is_logged_and_ends_no_further_ones(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rounds: list[int] = []
    fails = FailsOnce(lambda _: rounds.append(1), ArithmeticError("a fault of ours"))
    monkeypatch.setattr(upkeep, "SWEEP_S", 0.01)
    monkeypatch.setattr(Janitor, "sweep", lambda self: fails(self))

    start(*GOOD)
    eventually(lambda: len(rounds) > 1)

    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage().startswith("periodic task ")
    assert record.getMessage().endswith(" failed (every 0.01 s)")
    assert record.exc_info is not None and record.exc_info[0] is ArithmeticError


def test_result_is_delivered_though_its_coordinator_dies_after_its_last_event(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails = FailsOnce(
        coordinator._RECEIVE[Committed],
        ArithmeticError("a fault of ours"),
        lambda actor, *_: actor.state.finished is not None,
    )
    monkeypatch.setitem(coordinator._RECEIVE, Committed, fails)
    with http_sink() as sink:
        live = start(*GOOD, results__writer="http", results__http_url=sink.url)
        assert pairs_of(live.post("good", {})) == [("answer", 42)]
        eventually(lambda: sink.posts)

    assert fails.has_failed.is_set()
    assert len(sink.posts) == 1
    eventually(live.is_idle)


def test_nobody_who_waits_for_a_request_is_refused_while_its_coordinator_is_built_again(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_log, gate = log_reader.read_log, threading.Event()
    is_read = threading.Event()

    def read_when_open(*args: Any, **named: Any) -> Any:
        is_read.set()
        assert gate.wait(60)
        return read_log(*args, **named)

    monkeypatch.setattr(log_reader, "read_log", read_when_open)
    fails = FailsOnce(coordinator._RECEIVE[Ran], ArithmeticError("a fault of ours"))
    monkeypatch.setitem(coordinator._RECEIVE, Ran, fails)
    live = start({"fan": FAN, "each": COUNT}, {"fan": ("fan", "sum"), "each": ("each", "sum")})
    asked = {"request_id": "r1", "idempotency_key": "k", "fingerprint": "f"}
    first = live.post_later("fan", {"n": 10}, **asked, is_blocking=False)
    assert is_read.wait(60)

    waits = live.ask_later("wait", workflow=WORKFLOW, request_id="r1", wait_s=60.0)
    replayed = live.post_later("fan", {"n": 10}, **{**asked, "request_id": "r2"})
    _settle(live)
    again = live.post_later("fan", {"n": 10}, **{**asked, "idempotency_key": None})
    _settle(live)
    gate.set()

    assert outcome_of(first).request.request_id == "r1"
    for future in (waits, replayed, again):
        assert pairs_of(outcome_of(future)) == [("n", 10)]


def _settle(live: LiveNode) -> None:
    """Let what was asked get as far as it can: reads go one after the other in few threads."""
    for _ in range(20):
        live.ask("request.get", workflow=WORKFLOW, request_id="r1")


def test_a_node_whose_store_was_removed_does_not_go_on_as_if_nothing_were(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "PLACE_S", 0.05)
    live = start(*GOOD)
    assert live.ask("node.ready")["trouble"] is None
    (tmp_path / "jobx.sqlite").rename(tmp_path / "elsewhere")
    eventually(live.node.lost.is_set)
    assert "jobx.sqlite was removed or replaced" in live.ask("node.ready")["trouble"]


def test_a_second_signal_ends_a_drain_that_waits_for_the_store_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    define(
        tmp_path, {"count": COUNT, "fan": FAN}, {"fan": ("fan", "sum"), "each": ("count", "sum")}
    )
    lies = Lies({})
    monkeypatch.setattr(node, "open_store", lying_sqlite(lies))
    with live_node(tmp_path) as live:
        asked = live.post_later("fan", {"n": 200_000})
        eventually(lambda: live.status().open_requests and lies.events)
        lies.is_dead = True
        eventually(lambda: live.node._log.faults.stalled)
        stopping = live.stop_later(600.0)
        eventually(lambda: live.node._state == "draining" and not live.node._executors.is_busy)
        live.hasten()
        stopping.result(60)
        asked.cancel()


def test_a_start_that_fails_at_its_end_is_no_death(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_: object) -> None:
        raise StoreRefused("gateway.sock", "it cannot be made")

    monkeypatch.setattr(node.Gateway, "start", refuse)
    with pytest.raises(StoreRefused), live_node(tmp_path):
        pass
    assert not (tmp_path / RUNNING).exists()
