"""A request of one node, asked of another one."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.clusters import Cluster, cluster
from tests.support.authoring import WORKFLOW
from tests.support.etcd import Etcd
from tests.support.served import Answer, Served
from tests.support.waiting import eventually

NONE: dict[str, str] = {}
#: Enough for some batches, which take a moment.
SHORT = {"n": 8, "ms": 100}
TOTAL = [["n", 8]]
#: Runs for most of an hour: longer than anybody looks at it.
LONG = {"n": 100_000, "ms": 100}


@pytest.fixture(scope="module")
def two(etcd: Etcd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two nodes for all of these tests, since they take longer to start."""
    folder = tmp_path_factory.mktemp("two")
    with pytest.MonkeyPatch.context() as patch, cluster(folder, etcd, patch) as found:
        found.start("a")
        found.start("b")
        eventually(lambda: "the link to a in w is up" in found.log("b"))
        yield found


def begin(node: Served, arguments: dict[str, Any] = LONG, **headers: str) -> str:
    """Post a request that is not waited for."""
    answer = node.post("fan", arguments, Prefer="respond-async", **headers)
    assert answer.status == 202, answer
    return answer.request_id


def later(call: Callable[[], Answer]) -> Callable[[], Answer]:
    """Begin to ask, and return what waits for the answer."""
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(call()))
    thread.start()

    def answer() -> Answer:
        thread.join(60.0)
        return answers[0]

    return answer


def jobx(folder: Path, *words: str) -> Any:
    """Return what a command says as JSON."""
    command = [sys.executable, "-m", "jobx.tools.cli", *words, "--data", str(folder), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stdout)


def test_a_request_is_waited_for_and_shown_at_another_node(two: Cluster) -> None:
    a, b = two.nodes["a"], two.nodes["b"]
    request_id = begin(a, SHORT)
    assert b.get(request_id, "/result", Prefer="wait=60").pairs == TOTAL
    # The store tells b of the end maybe before a hears that its commit was done.
    eventually(lambda: a.get(request_id).body["state"] == "succeeded")
    shown = [node.get(request_id).body for node in (a, b)]
    assert shown[0] == shown[1]
    for part in ("/trace", "/result"):
        assert len({str(node.get(request_id, part).body) for node in (a, b)}) == 1, part


def test_a_running_request_is_live_at_another_node_and_cancelled_there(
    two: Cluster,
) -> None:
    a, b = two.nodes["a"], two.nodes["b"]
    request_id = begin(a)
    eventually(lambda: b.get(request_id).body["counts"]["finished"] > 0)
    assert b.get(request_id).body["as_stored"] is None
    waiting = later(lambda: b.get(request_id, "/result", Prefer="wait=60"))
    cancelled = b.ask("DELETE", f"/request/{WORKFLOW}/{request_id}", None, 60.0, NONE)
    assert cancelled.body["state"] == "cancelled"
    assert waiting().body["code"] == "request-cancelled"
    again = jobx(two.folder("b"), "request", "cancel", WORKFLOW, request_id)
    assert again["state"] == "cancelled"


def test_actors_of_another_node_are_shown_traced_and_stopped(two: Cluster) -> None:
    a, b = two.nodes["a"], two.nodes["b"]
    request_id = begin(a)

    def ask(method: str, path: str) -> Answer:
        return b.ask(method, f"/actors/{path}", None, 90.0, NONE)

    def found(path: str, parent: str) -> list[str]:
        listed = ask("GET", f"list?{path}").body["actors"]
        return [one["address"] for one in listed if (one["parent"] or "").startswith(parent)]

    assert ask("GET", "summary?node=a").body["node_id"] == "a"
    assert ask("GET", "trace?node=a&wait=60&limit=1").body["messages"] != []
    hosted = eventually(lambda: found("class=Batch", "a/"), 60.0)[0]
    refused = ask("POST", f"stop?address={hosted}")
    assert refused.status in (404, 409)
    eventually(lambda: any(_is_ended(ask, one) for one in found("class=Batch", "a/")), 60.0)
    (coordinator,) = found(f"node=a&class=Coordinator&name={request_id}", "a/")
    told = ask("POST", f"stop?node=a&address={coordinator}&reason=enough")
    assert told.body["says"] == f"request {WORKFLOW}/{request_id} is being cancelled"
    ended = b.get(request_id, "/result", Prefer="wait=60").body
    assert (ended["code"], "stopped by an operator: enough" in ended["detail"]) == (
        "request-cancelled",
        True,
    )


def _is_ended(ask: Callable[[str, str], Answer], hosted: str) -> bool:
    """Whether a batch that is hosted here is ended by its parent; it may be gone by itself."""
    here, there = (ask("POST", f"restart?address={hosted}{node}") for node in ("", "&node=a"))
    is_refused = here.status == 409 and "used by node a: ask that one" in here.body["detail"]
    return is_refused and there.body.get("says") == "its work starts again in another batch"


def test_a_node_with_links_tells_what_it_is_at(two: Cluster) -> None:
    told = jobx(two.folder("a"), "top", "--once", "--interval", "0.1")
    assert told["node_id"] == "a"


def test_a_client_key_is_one_request_at_all_nodes(two: Cluster) -> None:
    answers = [
        later(lambda node=node: node.post("fan", SHORT, Idempotency_Key="once"))
        for node in two.nodes.values()
    ]
    assert [answer().pairs for answer in answers] == [TOTAL, TOTAL]
    assert len({answer().request_id for answer in answers}) == 1
