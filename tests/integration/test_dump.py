"""What stages yield is there for dumps of requests that failed, on every store, and goes else."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any, Final

import pytest

from jobx.actors import upkeep
from jobx.payload import STAGE_DATA
from jobx.views import Outcome
from tests.support.authoring import FAN, WORKFLOW, define
from tests.support.live_node import LiveNode, live_node
from tests.support.waiting import eventually

#: Takes long enough that its data is kept.
LEAF: Final = """
import time
def handler(key, value):
    yield Return()
    time.sleep(0.002)
    yield "n", value
"""
SUM: Final = """
def handler(key, values):
    if values == [4]:
        raise ValueError("four")
    yield key, sum(values)
"""


@pytest.fixture(params=["sqlite", "etcd", "etcd2"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder, whose store is in it or on a server."""
    if request.param != "sqlite":
        etcd = request.getfixturevalue("etcd")
        url = f"{etcd.url_of(request.param)}/{uuid.uuid4().hex}"
        monkeypatch.setenv("JOBX_STORE_URL", url)
    monkeypatch.setattr(upkeep, "SWEEP_S", 0.2)
    steps = {"fan": ("fan_map", "fan_sum"), "each": ("leaf_map", "fan_sum")}
    define(tmp_path, {"fan_map": FAN, "leaf_map": LEAF, "fan_sum": SUM}, steps)
    return tmp_path


def dumped(node: LiveNode, outcome: Outcome) -> dict[str, Any]:
    key = {"workflow": WORKFLOW, "request_id": outcome.request.request_id}
    chunk = node.ask("request.dump", **key)
    lines = [json.loads(line) for line in chunk["data"].splitlines()]
    return {line["invocation_id"]: line for line in lines}


def kept(folder: Path) -> list[Path]:
    return list((folder / "blobs").rglob(f"*{STAGE_DATA}"))


def test_data_of_stages_is_kept_of_requests_that_fail_until_another_node_shows_it(
    folder: Path,
) -> None:
    with live_node(folder) as node:
        failed = node.post("fan", {"n": 6})
        assert failed.request.state == "failed"
        found = dumped(node, failed)
    assert found["r5"]["failure"]["message"] == "four"
    assert found["m5"]["data"] == [["n", [4]]]
    with live_node(folder) as node:
        assert dumped(node, failed) == found
        assert kept(folder)


def test_data_of_stages_goes_when_the_request_has_succeeded(folder: Path) -> None:
    with live_node(folder) as node:
        done = node.post("fan", {"n": 3})
        eventually(lambda: not kept(folder))
        found = dumped(node, done)
    assert "was removed when the request had succeeded" in found["m1"]["absent"]["data"]


def test_all_of_it_or_none_is_kept_as_the_settings_say(tmp_path: Path) -> None:
    steps = {"fan": ("fan_map", "fan_sum"), "each": ("leaf_map", "fan_sum")}
    define(tmp_path, {"fan_map": FAN, "leaf_map": LEAF, "fan_sum": SUM}, steps)
    with live_node(tmp_path, retention__data="none") as node:
        found = dumped(node, node.post("fan", {"n": 3}))
    assert "retention.data was none" in found["m1"]["absent"]["data"]
    assert kept(tmp_path) == []
    with live_node(tmp_path, retention__data="all") as node:
        assert dumped(node, node.post("fan", {"n": 3}))["m1"]["data"] == [["n", [0]]]
    assert kept(tmp_path)
