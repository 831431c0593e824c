"""The commands about a whole cluster, on real nodes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from jobx import meanings
from jobx.tools.cli import main
from tests.cluster.clusters import Cluster, cluster
from tests.support.etcd import Etcd
from tests.support.waiting import eventually


def jobx(*words: str) -> Result:
    """Run a command; the store is the one of the environment."""
    return CliRunner().invoke(main, words)


def status() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(jobx("cluster", "status", "--json").stdout)
    return found


@pytest.fixture
def two(tmp_path: Path, etcd: Etcd, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    with cluster("broker", tmp_path, etcd, monkeypatch) as found:
        found.start("a")
        found.start("b")
        yield found


def test_a_cluster_is_shown_and_a_node_is_taken_out_of_it(two: Cluster) -> None:
    eventually(lambda: not status()["trouble"])
    view = status()
    assert [node["report"]["node"]["node_id"] for node in view["nodes"]] == ["a", "b"]
    (server,) = view["etcd"]
    assert server["is_leader"]
    assert server["size_bytes"] < server["quota_bytes"]

    assert "node b has ended" in jobx("cluster", "drain", "b").stdout
    assert two.nodes["b"].process.wait(60) == 0
    two.nodes["b"].expect_gone()
    assert [node["node_id"] for node in status()["nodes"]] == ["a"]
    assert jobx("cluster", "drain", "b").exit_code == meanings.NOT_FOUND


def test_a_new_cluster_is_checked(tmp_path: Path, etcd: Etcd) -> None:
    store = ("--store", etcd.url, "--nsqd-port", "1")
    words = ("cluster", "init", str(tmp_path / "new"), "a=127.0.0.1", "--blobs", "file:///b")
    done = jobx(*words, *store, "--json")
    assert done.exit_code == 0, done.output
    trouble = json.loads(done.stdout)["trouble"]
    assert any("127.0.0.1:1 of node a does not answer: Connection refused" in x for x in trouble)
    assert not any("does not answer" in line for line in trouble if line.startswith("etcd"))


def test_servers_that_do_not_answer_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBX_STORE_URL", "etcd://127.0.0.1:1")
    monkeypatch.setenv("JOBX_STORE_TIMEOUT_S", "0.2")
    assert "etcd 127.0.0.1:1 does not answer" in "\n".join(status()["trouble"])


@pytest.mark.parametrize("words", [("status",), ("drain", "a")])
def test_a_store_of_one_node_is_no_cluster(words: tuple[str, ...], tmp_path: Path) -> None:
    done = jobx("cluster", *words, "--data", str(tmp_path))
    assert (done.exit_code, "setting store.url" in done.stderr) == (meanings.INVALID, True)
