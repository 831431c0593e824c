"""A real node whose store is on etcd's v2 API: killed with its servers, nothing is lost."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from jobx.errors import InUse
from jobx.kv import keys
from jobx.kv.requests import event_log
from tests.support.authoring import WORKFLOW, define
from tests.support.etcd import FORGETFUL, V2, Etcd, etcd_servers
from tests.support.etcd_node import (
    COMMITS,
    HANDLERS,
    STEPS,
    answers,
    begin,
    expect_all_ended,
    expect_each_once,
    opened,
)
from tests.support.live_node import live_node, outcome_of, pairs_of
from tests.support.processes import running
from tests.support.proxy import proxy
from tests.support.served import Served, kill, served
from tests.support.waiting import eventually

REQUEST_ID = "01arz3ndektsv4rrffq69g5fav"


@pytest.fixture(autouse=True)
def timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not answered is soon taken for unanswered."""
    monkeypatch.setenv("JOBX_STORE_TIMEOUT_S", "2")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Etcd]:
    """A server of this test's own, which nodes use."""
    with etcd_servers(tmp_path / "etcd", flags=(*FORGETFUL, V2)) as servers:
        monkeypatch.setenv("JOBX_STORE_URL", servers.url_of("etcd2"))
        yield servers


@pytest.fixture
def shared(etcd: Etcd, monkeypatch: pytest.MonkeyPatch) -> str:
    """Keys of this test's own on the server of all tests; their root."""
    root = uuid.uuid4().hex
    monkeypatch.setenv("JOBX_STORE_URL", f"{etcd.url_of('etcd2')}/{root}")
    return root


@pytest.mark.parametrize("number", range(COMMITS))
def test_a_request_ends_once_though_the_answer_of_a_commit_was_lost(
    number: int, shared: str, etcd: Etcd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    define(tmp_path, HANDLERS, STEPS)
    with proxy(etcd.servers[0]) as way:
        monkeypatch.setenv("JOBX_STORE_URL", f"etcd2://{way.server}/{shared}")
        with live_node(tmp_path) as node:
            way.cuts_after = f"log/{number:010d}=".encode()
            asked = node.post_later("fan", {"n": 3}, request_id=REQUEST_ID)
            assert pairs_of(outcome_of(asked)) == [("n", 3)]
            assert way.cuts_after is None
            expect_all_ended(tmp_path, node)


def test_no_request_is_lost_when_etcd_is_killed_under_them(own: Etcd, tmp_path: Path) -> None:
    define(tmp_path, HANDLERS, STEPS)
    with live_node(tmp_path) as node:
        asked = begin(node, 40)
        for _ in range(2):
            own.members[0].kill()
            asked += begin(node, 5)
            own.start()
            asked += begin(node, 20)
        expect_each_once(node, asked)
        assert eventually(lambda: answers(node), timeout_s=30)
        expect_all_ended(tmp_path, node)


def test_no_request_is_lost_when_the_node_is_killed_and_etcd_after_it(
    own: Etcd, tmp_path: Path
) -> None:
    define(tmp_path, HANDLERS, STEPS)
    with served(tmp_path) as serving:
        ids = [_accepted(serving) for _ in range(30)]
        kill(serving.node())
        own.members[0].kill()
        own.start()
        for request_id in ids:
            found = eventually(lambda one=request_id: _ended(serving, one), timeout_s=60)
            assert found == "succeeded"
    with closing(opened(tmp_path)) as store:
        assert store.range(keys.OPEN) == []
        for request_id in ids:
            events = [str(e["event"]) for _, e in event_log.read(store, WORKFLOW, request_id)]
            assert events.count("finished") == 1 and events[-1] == "finished"


def _accepted(serving: Served) -> str:
    answer = serving.post("each", {"n": 5}, Prefer="respond-async")
    assert answer.status == 202, answer
    return str(answer.body["request_id"])


def _ended(serving: Served, request_id: str) -> str | None:
    try:
        answer = serving.get(request_id)
    except OSError:
        return None
    state = answer.body["state"] if answer.status == 200 else "running"
    return None if state == "running" else str(state)


def test_a_second_node_on_a_store_is_refused(shared: str, tmp_path: Path) -> None:
    with (
        live_node(tmp_path / "one") as node,
        pytest.raises(InUse, match=r"nodes/local is used by .*/one"),
        live_node(tmp_path / "two"),
    ):
        pass
    assert not node.node.lost.is_set()


def test_a_request_goes_on_in_an_empty_folder_elsewhere(shared: str, tmp_path: Path) -> None:
    define(tmp_path, HANDLERS, STEPS)
    key = {"workflow": WORKFLOW, "request_id": REQUEST_ID}
    with live_node(tmp_path / "one") as node:
        node.post("fan", {"n": 200}, request_id=REQUEST_ID, is_blocking=False)
    with live_node(tmp_path / "two") as node:
        outcome = outcome_of(node.ask_later("wait", **key, wait_s=60.0))
        assert pairs_of(outcome) == [("n", 200)]


@pytest.mark.parametrize("words", ["workflow list", "serve --bind 127.0.0.1:0"])
def test_a_server_without_the_v2_api_is_refused_by_name_at_the_start(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with etcd_servers(tmp_path / "etcd") as servers:
        monkeypatch.setenv("JOBX_STORE_URL", servers.url_of("etcd2"))
        command = ["-m", "jobx.tools.cli", *words.split(), "--data", str(tmp_path)]
        with running(command) as process:
            _, said = process.communicate(timeout=60)
    assert "it has no v2 API; start it with --enable-v2" in said
