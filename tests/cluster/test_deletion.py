"""What requests on three nodes are made of is deleted while they run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.clusters import Cluster, cluster, executing
from tests.support.authoring import define
from tests.support.etcd import Etcd
from tests.support.served import Answer, Served
from tests.support.waiting import eventually

#: Maps numbers to mappers that wait for a file.
SPREAD = """
def handler(arguments):
    yield Map("each")
    for number in range(8):
        yield number, arguments["gate"]
"""
GATED = """
import os, time
def handler(key, value):
    yield Return()
    while not os.path.exists(value):
        time.sleep(0.01)
    yield "n", 1
"""
PARTS = (
    *("job/s", "job/each", "step/s", "step/each"),
    *("handler/fan", "handler/each", "handler/sum"),
)


@pytest.fixture
def three(tmp_path: Path, etcd: Etcd, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    with cluster(tmp_path, etcd, monkeypatch) as found:
        steps = {"s": ("fan", "sum"), "each": ("each", "sum")}
        define(tmp_path, {"fan": SPREAD, "each": GATED}, steps, "brief")
        for name in "abc":
            found.start(name)
        yield found


def ask(node: Served, method: str, path: str, body: Any = None) -> Answer:
    return node.ask(method, path, body, 90.0, {"Prefer": "respond-async"})


def test_requests_end_on_three_nodes_though_all_that_they_are_made_of_is_deleted(
    three: Cluster, tmp_path: Path
) -> None:
    nodes, gate = [*three.nodes.values()], tmp_path / "gate"
    asked = {"arguments": {"gate": str(gate)}}
    posted = [ask(node, "POST", "/job/brief/s", asked).request_id for node in nodes]
    eventually(lambda: all(map(executing, nodes)), 120.0)
    b = nodes[1]
    assert {ask(b, "DELETE", f"/workflow/brief/{part}").status for part in PARTS} == {204}
    assert ask(b, "DELETE", "/workflow/brief?force=true").status == 409
    for node in nodes:  # until it knows of the deletions, it takes more requests; these end, too
        eventually(lambda: ask(node, "POST", "/job/brief/s", asked).status == 404)  # noqa: B023 - at once

    gate.touch()
    for request_id, node in zip(posted, [*nodes[1:], nodes[0]], strict=True):
        path = f"/request/brief/{request_id}/result"
        assert node.ask("GET", path, None, 90.0, {"Prefer": "wait=60"}).pairs == [["n", 8]]
    eventually(lambda: ask(b, "DELETE", "/workflow/brief?force=true").status == 200)
    for node in nodes:
        eventually(lambda: ask(node, "GET", "/workflow/brief").status == 404)  # noqa: B023 - at once
