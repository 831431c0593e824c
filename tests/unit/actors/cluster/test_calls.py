from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from jobx.actors.bridge.ends import LinkState
from jobx.actors.bridge.transport import Lane
from jobx.actors.cluster import calls
from jobx.actors.cluster.calls import Calls
from jobx.kv import node_calls
from jobx.kv.memory import MemoryStore
from jobx.questions import GetReadiness, Question
from jobx.views import NodeReport, NodeView, ReadinessView

NODE = NodeView(
    node_id="a",
    version="1",
    pid=1,
    state="running",
    uptime_s=1.0,
    data_dir="/d",
    capabilities=[],
    open_requests=0,
    queued_batches=0,
    dead_letters=0,
    rss_bytes=0,
    executors=[],
)


class Part:
    """A node's part in its cluster."""

    number = 7
    dropped = {"key": 2}  # noqa: RUF012 - nobody changes it

    def states(self) -> list[LinkState]:
        return [LinkState(Lane("b", "w"), True, 1, 2, 3, 4, 5, 6, 7)]


async def ask(question: Question[Any]) -> Any:
    return ReadinessView(state="running") if isinstance(question, GetReadiness) else NODE


async def never(question: Question[Any]) -> Any:
    await asyncio.Event().wait()


def looked(store: MemoryStore, ask: Any = ask) -> list[str]:
    """Have a node look for its calls; return ``drain`` if it drains."""
    done: list[str] = []

    async def look() -> None:
        part: Any = Part()
        found = Calls(store, "a", part, ask, lambda: done.append("drain"))
        await asyncio.to_thread(found.look)
        await asyncio.sleep(0)

    asyncio.run(look())
    return done


def report_of(store: MemoryStore) -> NodeReport:
    found = node_calls.last_report(store, "a")
    assert found is not None
    return msgspec.json.decode(found.value, type=NodeReport)


def test_a_node_that_is_asked_reports() -> None:
    store = MemoryStore()
    node_calls.call(store, "a", node_calls.REPORT)
    assert looked(store) == []
    report = report_of(store)
    assert (report.node, report.dropped) == (NODE, {"key": 2})
    link = report.links[0]
    assert (link.peer, link.unacked_bytes, link.resent, link.duplicates) == ("b", 3, 4, 5)


def test_a_node_that_is_not_asked_reports_nothing() -> None:
    store = MemoryStore()
    looked(store)
    assert node_calls.last_report(store, "a") is None


def test_a_loop_that_stands_still_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "REPORT_S", 0.01)
    store = MemoryStore()
    node_calls.call(store, "a", node_calls.REPORT)
    looked(store, never)
    assert report_of(store).trouble == "its loop did not answer within 0.01 s"


@pytest.mark.parametrize(("registration", "done"), [("7", ["drain"]), ("6", []), ("", [])])
def test_a_call_to_drain_counts_for_one_registration(registration: str, done: list[str]) -> None:
    store = MemoryStore()
    node_calls.call(store, "a", node_calls.DRAIN, registration)
    assert looked(store) == done
    assert node_calls.calls(store, "a") == {}
