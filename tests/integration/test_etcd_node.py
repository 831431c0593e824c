"""A real node on real servers of etcd that are killed, cut off, full, or another node's."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from jobx.actors.gateway import finding
from jobx.errors import (
    InUse,
    JobxError,
    OutcomeUnknown,
    StoreFull,
    StoreUnavailable,
)
from jobx.kv import keys
from tests.support.authoring import WORKFLOW, define
from tests.support.etcd import FORGETFUL, V2, Etcd, etcd_servers
from tests.support.etcd_node import (
    COMMITS,
    HANDLERS,
    LITTLE_ROOM,
    STEPS,
    answers,
    begin,
    expect_all_ended,
    expect_each_once,
    fill,
    make_room,
    opened,
)
from tests.support.live_node import LiveNode, live_node, outcome_of, pairs_of
from tests.support.processes import running
from tests.support.proxy import proxy
from tests.support.waiting import eventually

#: By both APIs.
BOTH = ("etcd", "etcd2")
REQUEST_ID = "01arz3ndektsv4rrffq69g5fav"


@pytest.fixture(autouse=True)
def timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not answered is soon taken for unanswered."""
    monkeypatch.setenv("JOBX_STORE_TIMEOUT_S", "2")


def scheme(request: pytest.FixtureRequest) -> str:
    """Return the scheme that a test asks a fixture for."""
    return str(getattr(request, "param", "etcd"))


@pytest.fixture
def own(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Etcd]:
    """A server of this test's own, which nodes use."""
    with etcd_servers(tmp_path / "etcd", flags=(*FORGETFUL, V2)) as servers:
        monkeypatch.setenv("JOBX_STORE_URL", servers.url_of(scheme(request)))
        yield servers


@pytest.fixture
def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Etcd]:
    """Three servers of this test's own, which nodes use."""
    with etcd_servers(tmp_path / "etcd", 3) as servers:
        monkeypatch.setenv("JOBX_STORE_URL", servers.url)
        yield servers


@pytest.fixture
def shared(request: pytest.FixtureRequest, etcd: Etcd, monkeypatch: pytest.MonkeyPatch) -> str:
    """Keys of this test's own on the server of all tests; their root."""
    root = uuid.uuid4().hex
    monkeypatch.setenv("JOBX_STORE_URL", f"{etcd.url_of(scheme(request))}/{root}")
    return root


@pytest.mark.parametrize("shared", BOTH, indirect=True)
@pytest.mark.parametrize("number", range(COMMITS))
def test_a_request_ends_once_though_the_answer_of_a_commit_was_lost(
    number: int, shared: str, etcd: Etcd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    define(tmp_path, HANDLERS, STEPS)
    with proxy(etcd.servers[0]) as way:
        url = os.environ["JOBX_STORE_URL"].replace(etcd.servers[0], way.server)
        monkeypatch.setenv("JOBX_STORE_URL", url)
        with live_node(tmp_path) as node:
            way.cuts_after = f"log/{number:010d}".encode()
            asked = node.post_later("fan", {"n": 3}, request_id=REQUEST_ID)
            assert pairs_of(outcome_of(asked)) == [("n", 3)]
            assert way.cuts_after is None
            expect_all_ended(tmp_path, node)


@pytest.mark.parametrize("own", BOTH, indirect=True)
def test_no_request_is_lost_when_etcd_is_killed_under_them(own: Etcd, tmp_path: Path) -> None:
    define(tmp_path, HANDLERS, STEPS)
    with live_node(tmp_path) as node:
        asked = begin(node, 12)
        for _ in range(2):
            own.members[0].kill()
            asked += begin(node, 4)
            own.start()
            asked += begin(node, 6)
        expect_each_once(node, asked)
        assert eventually(lambda: answers(node), timeout_s=60)
        expect_all_ended(tmp_path, node)


def test_without_a_quorum_nothing_is_taken_and_what_was_taken_ends_with_one(
    three: Etcd, tmp_path: Path
) -> None:
    define(tmp_path, HANDLERS, STEPS)
    with live_node(tmp_path) as node:
        asked = begin(node, 20)
        assert eventually(lambda: node.status().open_requests > 0)
        for member in three.members[:2]:
            member.kill()
        eventually(lambda: _is_refused(node), timeout_s=60)
        three.start(*three.members[:2])
        expect_each_once(node, asked)
        assert eventually(lambda: answers(node), timeout_s=60)
        expect_all_ended(tmp_path, node)


def test_requests_wait_for_another_leader_when_the_one_there_was_is_gone(
    three: Etcd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBX_STORE_TIMEOUT_S", "30")
    define(tmp_path, HANDLERS, STEPS)
    with live_node(tmp_path) as node:
        asked = begin(node, 20)
        eventually(lambda: node.status().open_requests > 0)
        three.leader().kill()
        asked += [node.post_later("answer", {}) for _ in range(5)]
        assert {outcome_of(one).request.state for one in asked} == {"succeeded"}
        expect_all_ended(tmp_path, node)


def test_a_request_that_may_have_begun_is_told_with_its_id_and_ends_later(
    shared: str, etcd: Etcd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "ANSWER_S", 1.0)
    define(tmp_path, HANDLERS, STEPS)
    with proxy(etcd.servers[0]) as way:
        monkeypatch.setenv("JOBX_STORE_URL", f"etcd://{way.server}/{shared}")
        with live_node(tmp_path) as node:
            assert answers(node)
            way.is_mute = True
            first = node.post_later("answer", {}, request_id=REQUEST_ID, wait_s=1.0)
            eventually(lambda: way.count(REQUEST_ID.encode()))
            second = node.post_later("answer", {}, wait_s=60.0)
            with pytest.raises(OutcomeUnknown, match=REQUEST_ID):
                outcome_of(first)
            with pytest.raises((StoreUnavailable, OutcomeUnknown)):
                outcome_of(second)
            way.is_mute = False
            way.cut()
            key = {"workflow": WORKFLOW, "request_id": REQUEST_ID}
            assert eventually(lambda: _is_found(node, key), timeout_s=60)
            outcome = outcome_of(node.ask_later("wait", **key, wait_s=60.0))
            assert pairs_of(outcome) == [("answer", 42)]
            expect_all_ended(tmp_path, node)


def _is_found(node: LiveNode, key: dict[str, str]) -> bool:
    try:
        return bool(node.ask("request.get", **key))
    except JobxError:
        return False


def _is_refused(node: LiveNode) -> bool:
    """Whether a request is refused, and nothing of it begun."""
    try:
        node.post("answer", {}, wait_s=5.0)
    except StoreUnavailable:
        return True
    except OutcomeUnknown:
        return False
    return False


def test_a_store_without_room_takes_nothing_until_there_is_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with etcd_servers(tmp_path / "etcd", flags=LITTLE_ROOM) as etcd:
        monkeypatch.setenv("JOBX_STORE_URL", etcd.url)
        define(tmp_path, HANDLERS, STEPS)
        with live_node(tmp_path) as node:
            fill(tmp_path)
            with pytest.raises(StoreFull, match="quota"):
                node.post("answer", {})
            make_room(etcd, tmp_path)
            assert eventually(lambda: answers(node), timeout_s=60)


@pytest.mark.parametrize("shared", BOTH, indirect=True)
def test_a_second_node_on_a_store_is_refused(shared: str, tmp_path: Path) -> None:
    define(tmp_path, HANDLERS, STEPS)
    with live_node(tmp_path / "one") as node:
        with pytest.raises(InUse, match="one"), live_node(tmp_path / "two"):
            pass
        assert answers(node)
    with live_node(tmp_path / "two") as node:
        assert answers(node)


def test_a_node_whose_store_is_another_node_s_now_ends(
    shared: str, etcd: Etcd, tmp_path: Path
) -> None:
    define(tmp_path, HANDLERS, STEPS)
    with live_node(tmp_path) as node, closing(opened(tmp_path)) as store:
        leases: Any = store
        other = leases.inner.lease(keys.node("local"), "elsewhere", 60.0)

        def takes_over() -> bool:
            (entry,) = etcd.ctl("get", f"{shared}/{keys.node('local')}")["kvs"]
            etcd.ctl("lease", "revoke", f"{entry['lease']:x}")
            try:
                other.renew()
            except InUse:  # the node was quicker
                return False
            return True

        assert eventually(takes_over)
        assert eventually(node.node.lost.is_set, timeout_s=60)


@pytest.mark.parametrize("shared", BOTH, indirect=True)
def test_a_request_goes_on_in_an_empty_folder_elsewhere(shared: str, tmp_path: Path) -> None:
    define(tmp_path, HANDLERS, STEPS)
    key = {"workflow": WORKFLOW, "request_id": REQUEST_ID}
    with live_node(tmp_path / "one") as node:
        node.post("fan", {"n": 30}, request_id=REQUEST_ID, is_blocking=False)
    with live_node(tmp_path / "two") as node:
        outcome = outcome_of(node.ask_later("wait", **key, wait_s=60.0))
        assert pairs_of(outcome) == [("n", 30)]


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("redis://h", "jobx: setting store.url: must be etcd://"),
        ("etcd://127.0.0.1:9", "jobx: etcd at 127.0.0.1:9 does not answer"),
    ],
)
@pytest.mark.parametrize("words", ["workflow list", "serve --bind 127.0.0.1:0"])
def test_a_wrong_url_is_refused_by_name_at_the_start(
    url: str, line: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBX_STORE_URL", url)
    command = ["-m", "jobx.tools.cli", *words.split(), "--data", str(tmp_path)]
    with running(command) as process:
        _, said = process.communicate(timeout=60)
    assert line in said
