"""Two nodes that lend each other executors, over NSQ."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from jobx.actors.coordination import supervisor
from jobx.actors.messages import Probe
from jobx.tools.cli import main
from tests.cluster.clusters import Cluster, cluster, executing, places
from tests.support.etcd import Etcd
from tests.support.served import Answer, Served
from tests.support.waiting import eventually


@pytest.fixture
def two(tmp_path: Path, etcd: Etcd, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    with cluster(tmp_path, etcd, monkeypatch) as found:
        found.start("a")
        found.start("b")
        yield found


#: Enough for several batches at each executor.
COUNT, NAP_MS = 300, 20
TOTAL = [["n", COUNT]]


def post_wide(node: Served) -> Answer:
    return node.post("fan", {"n": COUNT, "ms": NAP_MS})


def until_both_work(two: Cluster, on: str = "a") -> None:
    """Post until a request ran on both nodes."""

    def has_both() -> bool:
        answer = post_wide(two.nodes[on])
        assert answer.pairs == TOTAL
        return {"a", "b"} <= set(places(two.nodes[on], answer))

    eventually(has_both)


class Posted:
    """A request that is under way, in a thread."""

    def __init__(self, node: Served) -> None:
        self._answers: list[Answer] = []
        self._thread = threading.Thread(target=lambda: self._answers.append(post_wide(node)))
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether it was answered."""
        return not self._thread.is_alive()

    def answer(self) -> Answer:
        self._thread.join(90.0)
        return self._answers[0]


def helped(two: Cluster) -> Posted:
    """Return a request of node a that node b works for; post until there is one."""
    posted = Posted(two.nodes["a"])

    def helps() -> bool:
        nonlocal posted
        if posted.is_over:
            posted = Posted(two.nodes["a"])
        return executing(two.nodes["b"])

    eventually(helps)
    return posted


@pytest.mark.parametrize("on", ["a", "b"])
def test_a_request_runs_on_both_nodes(two: Cluster, on: str) -> None:
    until_both_work(two, on)


def test_a_request_ends_when_the_node_that_helps_is_killed(two: Cluster) -> None:
    until_both_work(two)
    posted = helped(two)
    two.nodes["b"].kill_all()
    assert posted.answer().pairs == TOTAL
    assert "Traceback" not in two.log("a")


def test_a_request_ends_when_the_node_that_helps_is_stopped(two: Cluster) -> None:
    until_both_work(two)
    posted = helped(two)
    assert two.nodes["b"].stop() == 0
    assert posted.answer().pairs == TOTAL


def test_nodes_work_together_again_after_nsqd_was_killed(two: Cluster) -> None:
    until_both_work(two)
    posted = helped(two)
    two.broker.kill()
    two.broker.start()
    assert posted.answer().pairs == TOTAL
    until_both_work(two)


def registered() -> list[str]:
    found = CliRunner().invoke(main, ["cluster", "status", "--json"]).stdout
    return [node["node_id"] for node in json.loads(found)["nodes"]]


def test_a_node_whose_supervisor_hangs_gets_no_work_and_counts_as_lost(
    tmp_path: Path, etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[Any] = []
    real = supervisor._RECEIVE[Probe]
    with cluster(tmp_path, etcd, monkeypatch) as found:
        a = found.start("a", JOBX_BRIDGE_DEAF_S="1")
        with found.live("b", bridge__deaf_s=1.0) as b:
            until_both_work(found)
            monkeypatch.setitem(supervisor._RECEIVE, Probe, lambda *mail: held.append(mail))
            eventually(lambda: registered() == ["a"], 60.0)
            # It hears of the loss as others do: on its own.
            eventually(lambda: set(places(a, post_wide(a))) == {"a"})

            monkeypatch.setitem(supervisor._RECEIVE, Probe, real)
            b.call_soon(lambda: [real(*mail) for mail in held])
            eventually(lambda: registered() == ["a", "b"], 60.0)
            until_both_work(found)


def test_a_node_that_is_started_again_helps_again(two: Cluster) -> None:
    until_both_work(two)
    two.nodes["b"].kill_all()
    two.start("b")
    until_both_work(two)


def test_a_node_of_another_cluster_is_refused_by_name(two: Cluster) -> None:
    said = two.refusal("c", JOBX_CLUSTER_KEY="another secret of thirty-two characters")
    assert "setting cluster.key: the other nodes of the cluster 'jobx' have another key" in said
    said = two.refusal("c", JOBX_CLUSTER_NAME="other")
    assert "setting cluster.name: its store belongs to the cluster 'jobx'" in said


def test_a_front_end_has_all_handlers_run_elsewhere(
    tmp_path: Path, etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cluster(tmp_path, etcd, monkeypatch) as found:
        found.start("b")
        front = found.start("a", JOBX_NODE_FRONT_END="true")
        eventually(lambda: front.ask("GET", "/health/ready", None, 60.0, {}).status == 200, 60.0)
        answer = post_wide(front)
        assert answer.pairs == TOTAL
        assert set(places(front, answer)) == {"b"}
