from __future__ import annotations

import msgspec
import pytest

from jobx import model
from jobx.actors.cluster.members import NodeRecord, encode
from jobx.errors import StoreUnavailable
from jobx.kv import keys, node_calls
from jobx.kv.entities.entities import Entities
from jobx.kv.memory import MemoryStore
from jobx.kv.store import Put, Unit
from jobx.tools.cluster import nsqd, status
from jobx.views import NodeReport, OpenView, StoreServerView


class Answering(MemoryStore):
    """A store with nodes that answer at once, and with some that never do."""

    nsqd = "h:4150"

    def __init__(self, *answering: str) -> None:
        super().__init__()
        self._answering = {keys.call(name, node_calls.REPORT): name for name in answering}

    def commit(self, writes: Unit) -> None:
        super().commit(writes)
        for write in writes:
            name = self._answering.get(write.key) if isinstance(write, Put) else None
            if name is not None:
                node_calls.report(self, name, msgspec.json.encode(NodeReport(notice=name)))

    def register(self, name: str, *workflows: str) -> None:
        record = NodeRecord(5, self.nsqd, workflows, ("general",), 2, "1.1.0")
        self.lease(keys.node(name), f"host-{name}:/d", 60.0, encode(record)).acquire()


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "ANSWER_S", 0.05)


@pytest.fixture(autouse=True)
def _no_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nsqd, "trouble", {"h:4150": None, "gone:4150": "refused"}.get)


def test_nodes_that_answer_have_a_report() -> None:
    store = Answering("a")
    store.register("a")
    store.register("b")
    view = status.gather(store, [])
    assert [(node.node_id, node.report) for node in view.nodes] == [
        ("a", NodeReport(notice="a")),
        ("b", None),
    ]
    assert "node b is registered, but did not answer" in view.trouble


def test_each_nsqd_is_asked() -> None:
    store = Answering("a")
    store.nsqd = "gone:4150"
    store.register("a")
    trouble = status.gather(store, []).trouble
    assert "nsqd gone:4150 of node a does not answer: refused" in trouble


def test_a_report_of_an_earlier_call_is_no_answer() -> None:
    store = Answering()
    store.register("a")
    node_calls.report(store, "a", msgspec.json.encode(NodeReport()))
    assert status.gather(store, []).nodes[0].report is None


def test_a_report_of_another_form_is_no_answer() -> None:
    store = Answering()
    store.register("a")
    store.commit([Put(keys.report("a"), b"rubbish")])
    assert status.gather(store, []).nodes[0].report is None


def test_workflows_have_the_nodes_that_run_them() -> None:
    store = Answering("a", "b")
    store.register("a", "v")
    store.register("b")
    for name in ("v", "w"):
        Entities(store).create(model.Workflow(workflow_name=name, description="d"))
    view = status.gather(store, [])
    assert {one.workflow: one.nodes for one in view.workflows} == {"v": ["a", "b"], "w": ["b"]}


def test_open_requests_are_counted_by_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "MOST_OPEN", 2)
    store = MemoryStore()
    for node, count in {"a": 1, "a-b": 2, "b": 3}.items():
        store.commit([Put(keys.opened(node, "w", str(number)), b"") for number in range(count)])
    assert status.open_requests(store, {"a", "c"}) == [
        OpenView(node_id="a", count=1),
        OpenView(node_id="a-b", count=2, is_registered=False),
        OpenView(node_id="b", count=2, has_more=True, is_registered=False),
        OpenView(node_id="c", count=0),
    ]


def test_a_store_that_does_not_answer_is_trouble() -> None:
    view = status.without_store([], StoreUnavailable("no etcd"))
    assert view.trouble == ["no etcd; try again in 1 s"]


def test_what_servers_of_etcd_say_is_said_once() -> None:
    server = StoreServerView(server="h:1", error="Connection refused")
    view = status.without_store([server], StoreUnavailable("no etcd"))
    assert view.trouble == ["etcd h:1 does not answer: Connection refused"]


def test_what_is_no_workflow_is_trouble_and_hides_nothing() -> None:
    store = Answering()
    Entities(store).create(model.Workflow(workflow_name="w", description=""))
    store.commit([Put(f"{keys.entities('workflow')}Not A Name", b"hello")])
    view = status.gather(store, [])
    assert [one.workflow for one in view.workflows] == ["w"]
    assert [line for line in view.trouble if "Not A Name" in line]


@pytest.mark.parametrize("value", [b"", b"hello", b"{}", b"null", b"\xff"])
@pytest.mark.parametrize("key", ["nodes/zz", "reports/zz", "open/zz", "open/zz/zz", "calls/zz"])
def test_foreign_entries_keep_no_cluster_from_being_shown(key: str, value: bytes) -> None:
    store = Answering("a")
    store.register("a")
    store.commit([Put(key, value)])
    names = [node.node_id for node in status.gather(store, []).nodes]
    assert "a" in names
