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
from jobx.tools.cluster.new_files import KEY_FILE
from tests.cluster.clusters import Cluster, cluster
from tests.support.etcd import Etcd
from tests.support.waiting import eventually

BLOBS = ("--blobs", "file:///b")


def jobx(*words: str) -> Result:
    """Run a command; the store is the one of the environment."""
    return CliRunner().invoke(main, words)


def status() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(jobx("cluster", "status", "--json").stdout)
    return found


@pytest.fixture
def two(tmp_path: Path, etcd: Etcd, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    with cluster(tmp_path, etcd, monkeypatch) as found:
        found.start("a")
        found.start("b")
        yield found


def test_a_cluster_is_shown_and_a_node_is_taken_out_of_it(two: Cluster) -> None:
    view = eventually(lambda: (shown := status())["trouble"] == [] and shown)
    assert view
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
    assert any("the folder /b does not exist" in line for line in trouble)


def test_servers_that_do_not_answer_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBX_STORE_URL", "etcd://127.0.0.1:1")
    monkeypatch.setenv("JOBX_STORE_TIMEOUT_S", "0.2")
    assert "etcd 127.0.0.1:1 does not answer" in "\n".join(status()["trouble"])


@pytest.mark.parametrize("words", [("status",), ("drain", "a")])
def test_a_store_of_one_node_is_no_cluster(words: tuple[str, ...], tmp_path: Path) -> None:
    done = jobx("cluster", *words, "--data", str(tmp_path))
    assert (done.exit_code, "--config FILE names" in done.stderr) == (meanings.INVALID, True)


def init(folder: Path, *words: str) -> Result:
    return jobx("cluster", "init", str(folder), *words)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("a=127.0.0.1", "a=127.0.0.2", *BLOBS), "host: each node has its own name"),
        (("a=127.0.0.1", "--blobs", ""), "--blobs: must be a URL"),
        (("a=127.0.0.1", "--blobs", 'file:///a"b'), "--blobs: must be a URL"),
        (("a=127.0.0.1", *BLOBS, "--store", "sqlite"), "setting store.url"),
        (("a=127.0.0.1:4150", *BLOBS, "--store", "etcd://127.0.0.1"), "must be HOST:PORT"),
        (("a=127.0.0.1", *BLOBS, "--nsqd-port", "99999"), "must be HOST:PORT"),
    ],
)
def test_what_no_node_could_use_is_refused_before_anything_is_written(
    tmp_path: Path, words: tuple[str, ...], reason: str
) -> None:
    done = init(tmp_path / "new", *words)
    assert (done.exit_code, reason in done.stderr) == (meanings.INVALID, True), done.output
    assert not (tmp_path / "new").exists()


def test_hosts_are_added_only_to_a_store_that_is_named(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_text("secret")
    done = init(tmp_path, "d=127.0.0.4", *BLOBS)
    assert (done.exit_code, "--store: is needed" in done.stderr) == (meanings.INVALID, True)
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]
