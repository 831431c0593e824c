from __future__ import annotations

import pytest

from jobx.kv import node_calls
from jobx.kv.memory import MemoryStore
from jobx.kv.node_calls import DRAIN, REPORT


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def test_a_node_sees_its_own_calls(store: MemoryStore) -> None:
    node_calls.call(store, "a", DRAIN, "7")
    node_calls.call(store, "a", REPORT)
    node_calls.call(store, "ab", DRAIN, "8")
    assert node_calls.calls(store, "a") == {DRAIN: "7", REPORT: ""}


def test_a_report_answers_the_call(store: MemoryStore) -> None:
    node_calls.call(store, "a", REPORT)
    node_calls.report(store, "a", b"{}")
    found = node_calls.last_report(store, "a")
    assert found is not None
    assert (found.value, node_calls.calls(store, "a")) == (b"{}", {})


def test_a_call_can_be_taken_away_twice(store: MemoryStore) -> None:
    node_calls.call(store, "a", DRAIN, "7")
    node_calls.withdraw(store, "a", DRAIN)
    node_calls.withdraw(store, "a", DRAIN)
    assert node_calls.calls(store, "a") == {}
