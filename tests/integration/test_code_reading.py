"""Handlers are read from the store beside the loop: a store that is slow stops nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from jobx.actors import node as node_module
from jobx.errors import StoreUnavailable
from jobx.handlers.authoring.code_cache import CodeCache
from jobx.work import LoadHandler
from tests.support.authoring import ANSWER
from tests.support.live_node import Start, outcome_of, pairs_of
from tests.support.waiting import eventually

STEPS = {"answer": ("answer", "sum")}


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Do something before each read of code."""

    def install(before: Callable[[], object]) -> None:
        class Slow(CodeCache):
            def code(self, workflow: str, version: str) -> LoadHandler:
                before()
                return super().code(workflow, version)

        monkeypatch.setattr(node_module, "CodeCache", Slow)

    return install


def test_a_node_answers_while_it_reads_a_handler(
    start: Start, reading: Callable[[Callable[[], object]], None]
) -> None:
    go_on = threading.Event()
    reading(lambda: go_on.wait(60))
    node = start({"answer": ANSWER}, STEPS)
    asked = node.post_later("answer", {})
    assert eventually(lambda: node.status().queued_batches == 1)
    go_on.set()
    assert pairs_of(outcome_of(asked)) == [("answer", 42)]


def test_a_request_whose_handler_cannot_be_read_now_is_tried_again(
    start: Start, reading: Callable[[Callable[[], object]], None]
) -> None:
    errors = [StoreUnavailable("the store does not answer")]

    def fail() -> None:
        if errors:
            raise errors.pop()

    reading(fail)
    node = start({"answer": ANSWER}, STEPS)
    assert pairs_of(node.post("answer", {})) == [("answer", 42)]


def test_a_cancelled_request_does_not_run_when_its_handler_was_read(
    start: Start, reading: Callable[[Callable[[], object]], None]
) -> None:
    go_on = threading.Event()
    reading(lambda: go_on.wait(60))
    node = start({"answer": ANSWER}, STEPS)
    asked = node.post_later("answer", {}, request_id="01arz3ndektsv4rrffq69g5fav")
    assert eventually(lambda: node.status().queued_batches == 1)
    node.ask("request.cancel", workflow="w", request_id="01arz3ndektsv4rrffq69g5fav", reason="no")
    assert outcome_of(asked).request.state == "cancelled"
    assert eventually(node.is_idle)
    go_on.set()
    assert pairs_of(node.post("answer", {})) == [("answer", 42)]
    assert sum(executor.invocations for executor in node.status().executors) == 1
