"""A node whose store has a past."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from jobx.actors import node as node_module
from jobx.actors import paced_commits, upkeep
from jobx.config import Settings
from jobx.kv.requests import kept_requests
from jobx.kv.sqlite.store import SqliteStore
from tests.support.authoring import WORKFLOW, define
from tests.support.counting_store import CountingSqlite
from tests.support.history import keep
from tests.support.live_node import live_node
from tests.support.waiting import eventually

HANDLERS = {
    "map": "yield MrConfigureToReturn()\nyield 'k', 1\n",
    "reduce": "def handler(key, values):\n    yield key, sum(values)\n",
}
STEPS = {"job": ("map", "reduce")}


def past(data_dir: Path, count: int, ended_ago_s: float) -> None:
    store = SqliteStore(data_dir / "jobx.sqlite")
    first_at = time.time() - ended_ago_s
    keep(store, (WORKFLOW, "job"), "p" * 64, count, first_at=first_at, failed_every=2)
    store.close()


@pytest.mark.parametrize("count", [0, 2000])
def test_a_start_reads_no_more_than_what_is_open(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores: list[CountingSqlite] = []

    def opened(settings: Settings, _: object) -> CountingSqlite:
        stores.append(CountingSqlite(settings.store_path))
        return stores[-1]

    define(tmp_path, HANDLERS, STEPS)
    past(tmp_path, count, ended_ago_s=600.0)
    monkeypatch.setattr(node_module, "open_store", opened)
    with live_node(tmp_path):
        (store,) = stores
        assert store.reads < 200


def test_what_is_kept_is_listed_by_state_in_full_pages(tmp_path: Path) -> None:
    define(tmp_path, HANDLERS, STEPS)
    past(tmp_path, 300, ended_ago_s=600.0)
    with live_node(tmp_path) as node:
        asked: dict[str, Any] = {"workflow": WORKFLOW, "state": "failed", "limit": 100}
        first = node.ask("request.list", **asked, after=None)
        second = node.ask("request.list", **asked, after=first["next"])
    ids = [[view["request_id"] for view in page["requests"]] for page in (first, second)]
    assert [len(page) for page in ids] == [100, 50]
    assert ids[0] + ids[1] == sorted(ids[0] + ids[1], reverse=True)
    assert second["next"] is None


def test_a_node_removes_what_expired_while_it_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "SWEEP_S", 0.1)
    define(tmp_path, HANDLERS, STEPS)
    past(tmp_path, 2000, ended_ago_s=600.0)
    with live_node(tmp_path, requests__retention_s=60.0) as node:
        new = node.post("job", {}).request.request_id
        asked = {"workflow": WORKFLOW, "state": None, "limit": 100, "after": None}

        def ids() -> list[str]:
            return [view["request_id"] for view in node.ask("request.list", **asked)["requests"]]

        eventually(lambda: ids() == [new])


def test_a_stop_does_not_wait_for_what_has_expired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "SWEEP_S", 0.01)
    monkeypatch.setattr(
        paced_commits, "_LEAST_PAUSE_S", 3600.0
    )  # so it is not done before the stop
    define(tmp_path, HANDLERS, STEPS)
    past(tmp_path, 5000, ended_ago_s=600.0)
    with live_node(tmp_path, requests__retention_s=60.0):
        probe = SqliteStore(tmp_path / "jobx.sqlite")
        eventually(lambda: len(kept_requests.expired(probe, 1e12, 5000)) < 5000)
    left = len(kept_requests.expired(probe, 1e12, 5000))
    probe.close()
    assert left > 0
