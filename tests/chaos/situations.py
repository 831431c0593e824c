"""Situations that need a cluster, a server or a full disk, and what ``explain`` says of them.

They take minutes, so they are run by their name: ``pytest -s tests/chaos/situations.py`` prints
each answer. ``tests/integration/test_situations.py`` has those of one node.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.clusters import Cluster, cluster
from tests.support.authoring import GATED, WORKFLOW, define
from tests.support.disks import small_disk
from tests.support.etcd import FORGETFUL, V2, Etcd, etcd_servers
from tests.support.proxy import proxy
from tests.support.served import Served, served
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(600)

#: How long a web worker waits for its node; a machine may be slow.
ANSWER_S = 30.0


@pytest.fixture
def own_etcd(tmp_path: Path) -> Iterator[Etcd]:
    """A server of etcd that a test may stop."""
    with etcd_servers(tmp_path / "etcd", flags=(*FORGETFUL, V2)) as servers:
        yield servers


@pytest.fixture
def nodes(
    tmp_path: Path, own_etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Cluster, Served, Served]]:
    """Two nodes; the first has one executor, so much of what it is asked for leaves it."""
    with cluster(tmp_path, own_etcd, monkeypatch) as found:
        a = found.start("a", JOBX_NODE_EXECUTORS="1")
        b = found.start("b", JOBX_NODE_EXECUTORS="2")
        yield found, a, b


def explain(node: Served, request_id: str) -> dict[str, Any]:
    body: dict[str, Any] = node.get(request_id, "/explain").body
    return body


def until(node: Served, request_id: str, text: str) -> dict[str, Any]:
    """Return the first answer that has a text in its headline or a group, and print it."""

    def found() -> dict[str, Any] | None:
        view = explain(node, request_id)
        said = [view.get("says", ""), *(group["says"] for group in view.get("groups", ()))]
        return view if any(text in one for one in said) else None

    view = eventually(found)
    lines = [f"  {one['cause']}: {one['count']} x: {one['says']}" for one in view["groups"]]
    sys.stdout.write("\n".join(["", view["says"], *lines, ""]))
    return view


def spread(node: Served) -> str:
    """Start a request of which another node has a part, and return its id."""
    posted = node.post("fan", {"n": 60, "ms": 2000}, Prefer="respond-async")
    until(node, posted.request_id, "node b has it")
    return posted.request_id


def signal_all(node: Served, number: signal.Signals) -> None:
    """Send a signal to the node and its executors."""
    for pid in (node.node(), *node.executors()):
        os.kill(pid, number)


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_peer_that_is_killed_or_stopped(nodes: tuple[Cluster, Served, Served], how: str) -> None:
    _, a, b = nodes
    request_id = spread(a)
    if how == "killed":
        b.kill_all()
    else:
        signal_all(b, signal.SIGSTOP)
    try:
        view = until(a, request_id, "has not answered since")
        group = view["groups"][0]
        assert group["until_at"] is not None
        assert group["helps"] == "jobx cluster status"
        assert group["node_id"] == "b"
    finally:
        if how == "stopped":
            signal_all(b, signal.SIGCONT)
    assert a.get(request_id, "/result", Prefer="wait=120").status == 200


def test_a_peer_that_is_cut_off(
    tmp_path: Path, own_etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        found = stack.enter_context(cluster(tmp_path, own_etcd, monkeypatch))
        store, broker = os.environ["JOBX_STORE_URL"], found.broker.address
        ways = [
            stack.enter_context(proxy(server_of(address), remembers=False))
            for address in (store, broker)
        ]
        a = found.start("a", JOBX_NODE_EXECUTORS="1")
        b = found.start(
            "b",
            JOBX_NODE_EXECUTORS="2",
            JOBX_STORE_URL=replaced(store, ways[0].server),
            JOBX_BRIDGE_NSQD=replaced(broker, ways[1].server),
        )
        request_id = spread(a)
        own = b.post("gate", {"gate": str(tmp_path / "gate")}, Prefer="respond-async").request_id
        for way in ways:
            way.is_deaf = True
        view = until(a, request_id, "has not answered since")
        answers = {
            "of a at a": said_in(a, request_id),
            "of b at a": said_in(a, own),
            "of b at b": said_in(b, own),
            "of a at b": said_in(b, request_id),
        }
        sys.stdout.write("".join(f"{who}: {what}\n" for who, what in answers.items()))
        assert view["groups"][0]["node_id"] == "b"
        until(a, own, "taken over from node b, from event ")
        for way in ways:
            way.is_deaf = False
        (tmp_path / "gate").touch()
        for one in (request_id, own):
            assert a.get(one, "/result", Prefer="wait=120").status == 200


def said_in(node: Served, request_id: str) -> str:
    """Return what a node says in the time that an answer may take, and how long it took."""
    began = time.monotonic()
    answer = node.get(request_id, "/explain")
    took_s = time.monotonic() - began
    assert took_s < ANSWER_S, answer
    said = answer.body.get("says") or answer.body.get("detail")
    return f"{answer.status} in {took_s:.1f} s: {said}"


def server_of(address: str) -> str:
    """Return the server of an address."""
    found = re.search(r"[^/]+:[0-9]+", address)
    assert found is not None, address
    return found[0]


def replaced(address: str, server: str) -> str:
    """Return an address with another server."""
    return re.sub(r"[^/]+:[0-9]+", server, address, count=1)


def test_an_nsqd_that_is_down(nodes: tuple[Cluster, Served, Served]) -> None:
    found, a, _ = nodes
    request_id = spread(a)
    found.broker.signal(signal.SIGSTOP)
    try:
        until(a, request_id, "has not answered since")
    finally:
        found.broker.signal(signal.SIGCONT)
    assert a.get(request_id, "/result", Prefer="wait=120").status == 200


def test_a_request_whose_node_is_lost_is_adopted(
    nodes: tuple[Cluster, Served, Served], tmp_path: Path
) -> None:
    _, a, b = nodes
    gate = tmp_path / "gate"
    posted = a.post("gate", {"gate": str(gate)}, Prefer="respond-async")
    a.kill_all()
    view = until(b, posted.request_id, "request ")
    assert {group["cause"] for group in view["groups"]} <= {"adoption", "running"}
    until(b, posted.request_id, "taken over from node a, from event ")
    gate.touch()
    assert b.get(posted.request_id, "/result", Prefer="wait=120").status == 200


def test_an_etcd_that_stands_still(
    nodes: tuple[Cluster, Served, Served], own_etcd: Etcd, tmp_path: Path
) -> None:
    _, a, _ = nodes
    gate = tmp_path / "gate"
    posted = a.post("gate", {"gate": str(gate)}, Prefer="respond-async")
    until(a, posted.request_id, "runs it")
    for member in own_etcd.members:
        member.signal(signal.SIGSTOP)
    gate.touch()
    try:
        until(a, posted.request_id, "the store has been silent since")
    finally:
        for member in own_etcd.members:
            member.signal(signal.SIGCONT)
    assert a.get(posted.request_id, "/result", Prefer="wait=120").status == 200


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 24 << 20) as disk:
        data = disk / "data"
        define(data, {"gated": GATED}, {"gated": ("gated", "sum")})
        with served(data, JOBX_NODE_EXECUTORS="1") as node:
            gate = tmp_path / "gate"
            posted = node.post("gated", {"gate": str(gate)}, Prefer="respond-async")
            until(node, posted.request_id, "runs it")
            with (disk / "filler").open("wb") as filler, pytest.raises(OSError, match="space"):
                while True:
                    filler.write(bytes(1 << 16))
                    filler.flush()
            gate.touch()
            view = until(node, posted.request_id, f"{data} has ")
            assert "bytes free" in view["says"]
            (disk / "filler").unlink()
            assert node.get(posted.request_id, "/result", Prefer="wait=60").status == 200


def test_a_request_too_many_is_told_why_it_is_not_accepted(tmp_path: Path) -> None:
    define(tmp_path / "data", {"gated": GATED}, {"gated": ("gated", "sum")})
    with served(tmp_path / "data", JOBX_REQUESTS_MAX_OPEN="1") as node:
        posted = node.post("gated", {"gate": str(tmp_path / "gate")}, Prefer="respond-async")
        refused = node.post("gated", {"gate": ""}, Prefer="respond-async")
        assert (refused.status, refused.body["code"]) == (503, "overloaded")
        assert "1 requests are open" in refused.body["detail"]
        (tmp_path / "gate").touch()
        assert node.get(posted.request_id, "/result", Prefer="wait=60").status == 200
        assert WORKFLOW in node.get(posted.request_id).body["workflow_name"]
