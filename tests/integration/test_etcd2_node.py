"""A real node on etcd's v2 API, killed with its server; test_etcd_node has what both APIs have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from jobx.kv import keys
from jobx.kv.requests import event_log
from tests.support.authoring import WORKFLOW, define
from tests.support.etcd import FORGETFUL, V2, Etcd, etcd_servers
from tests.support.etcd_node import (
    HANDLERS,
    STEPS,
    opened,
)
from tests.support.processes import running
from tests.support.served import Served, kill, served
from tests.support.waiting import eventually


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Etcd]:
    """A server of this test's own, which nodes use."""
    monkeypatch.setenv("JOBX_STORE_TIMEOUT_S", "10")
    with etcd_servers(tmp_path / "etcd", flags=(*FORGETFUL, V2)) as servers:
        monkeypatch.setenv("JOBX_STORE_URL", servers.url_of("etcd2"))
        yield servers


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
