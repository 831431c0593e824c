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
#: The first attempt is killed once its data is written, and the next one keeps none.
KILLED: Final = """
import os, time
from jobx.handlers.execution.stage_data import KeptStages
def handler(key, value):
    def die(self, written=KeptStages._written):
        written(self)
        open({flag!r}, "w").close()
        os.kill(os.getpid(), 9)
    if os.path.exists({flag!r}):
        KeptStages.close = lambda *_: None
    else:
        KeptStages._written = die
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
    made(tmp_path, LEAF)
    return tmp_path


def made(folder: Path, leaf: str) -> None:
    steps = {"fan": ("fan_map", "fan_sum"), "each": ("leaf_map", "fan_sum")}
    define(folder, {"fan_map": FAN, "leaf_map": leaf, "fan_sum": SUM}, steps)


def dumped(node: LiveNode, outcome: Outcome) -> dict[str, Any]:
    key = {"workflow": WORKFLOW, "request_id": outcome.request.request_id}
    chunk = node.ask("request.dump", **key)
    lines = [json.loads(line) for line in chunk["data"].splitlines()]
    return {line["invocation_id"]: line for line in lines}


def kept(folder: Path) -> list[Path]:
    return list((folder / "blobs").rglob(f"*{STAGE_DATA}"))


def test_data_of_stages_is_kept_of_requests_that_fail_and_goes_of_others(folder: Path) -> None:
    with live_node(folder) as node:
        failed, done = node.post("fan", {"n": 6}), node.post("fan", {"n": 3})
        assert (failed.request.state, done.request.state) == ("failed", "succeeded")
        eventually(
            lambda: {path.parent.name for path in kept(folder)} == {failed.request.request_id}
        )
        found = dumped(node, failed)
        gone = dumped(node, done)["m1"]["absent"]["data"]
    assert found["r5"]["failure"]["message"] == "four"
    assert found["m5"]["data"] == [["n", [4]]]
    assert "was removed when the request had succeeded" in gone


def test_what_is_kept_stays_for_another_node_with_other_settings(tmp_path: Path) -> None:
    made(tmp_path, LEAF)
    with live_node(tmp_path, retention__data="all") as node:
        done = node.post("fan", {"n": 3})
        found = dumped(node, done)
    there = kept(tmp_path)
    with live_node(tmp_path, retention__data="none") as node:
        assert dumped(node, done) == found
        none = dumped(node, node.post("fan", {"n": 3}))
    assert found["m1"]["data"] == [["n", [0]]]
    assert "retention.data was none" in none["m1"]["absent"]["data"]
    assert kept(tmp_path) == there != []


def test_data_that_a_killed_executor_left_goes_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "SWEEP_S", 0.2)
    made(tmp_path, KILLED.format(flag=str(tmp_path / "killed")))
    with live_node(tmp_path, node__executors=1) as node:
        assert node.post("fan", {"n": 3}).request.state == "succeeded"
        assert (tmp_path / "killed").exists()
        eventually(lambda: not kept(tmp_path))
