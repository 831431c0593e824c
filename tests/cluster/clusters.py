"""Clusters of real nodes on loopback: one etcd, one nsqd, a data folder for each node."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from jobx import meanings, model
from jobx.kv.entities.entities import Entities
from jobx.kv.opening import open_store
from tests.support import nsq
from tests.support.authoring import COUNT, WORKFLOW, define, settings_of
from tests.support.live_node import LiveNode, live_node
from tests.support.served import LAUNCH, Answer, Served, served

KEY = "a secret of thirty-two characters"
#: Maps ``n`` numbers to the step ``each``, where each mapper sleeps for so many milliseconds.
FAN = """
def handler(arguments):
    yield Map("each")
    for number in range(arguments["n"]):
        yield number, arguments["ms"]
"""
#: Returns once a file is there.
GATE = """
import os, time
def handler(gate):
    yield Return()
    while not os.path.exists(gate):
        time.sleep(0.01)
    yield "n", 1
"""
GPU = """
def handler(arguments):
    yield Return()
    yield "n", 1
"""
NAP = COUNT.replace("yield Return()", "import time; time.sleep(value / 1000)\n    yield Return()")


class Cluster:
    """The nodes of a test, each started once."""

    def __init__(self, folder: Path, broker: nsq.Nsqd, stack: ExitStack) -> None:
        self.broker = broker
        self.nodes: dict[str, Served] = {}
        self._folder = folder
        self._stack = stack

    def start(self, name: str, **environ: str) -> Served:
        """Start a node."""
        variables = self._variables(name, environ)
        self.nodes[name] = self._stack.enter_context(served(self._folder / name, **variables))
        return self.nodes[name]

    @contextmanager
    def live(self, name: str, **flags: Any) -> Iterator[LiveNode]:
        """Run a node in a thread of the test."""
        shared = {
            "node__id": name,
            "blobs__url": (self._folder / "blobs").as_uri(),
            "cluster__key": KEY,
            "bridge__nsqd": self.broker.address,
        }
        with live_node(self._folder / name, **shared, **flags) as node:
            yield node

    def refusal(self, name: str, **environ: str) -> str:
        """Return what a node says that is refused at start."""
        variables = self._variables(name, environ)
        command = [sys.executable, "-m", *LAUNCH, "serve", "--bind", "127.0.0.1:0"]
        command += ["--data", str(self._folder / name)]
        environ = {**os.environ, **variables, "JOBX_NODE_LOG_PATH": ""}
        done = subprocess.run(
            command, env=environ, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == meanings.INVALID, done
        return done.stderr

    def _variables(self, name: str, environ: Mapping[str, str]) -> dict[str, str]:
        shared = self._folder / "blobs"
        shared.mkdir(exist_ok=True)
        return {
            "JOBX_BLOBS_URL": shared.as_uri(),
            "JOBX_NODE_ID": name,
            "JOBX_CLUSTER_KEY": KEY,
            "JOBX_BRIDGE_NSQD": self.broker.address,
            "JOBX_NODE_LOG_PATH": str(self._folder / f"{name}.log"),
            "JOBX_NODE_LOG_LEVEL": "info",
            **environ,
        }

    def folder(self, name: str) -> Path:
        """Return the data folder of a node."""
        return self._folder / name

    def log(self, name: str) -> str:
        """Return what a node logged."""
        return (self._folder / f"{name}.log").read_text()


@contextmanager
def cluster(folder: Path, etcd: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """Run a cluster without nodes, with a workflow in its store, on the best NSQ there is."""
    monkeypatch.setenv("JOBX_STORE_URL", f"{etcd.url}/{uuid.uuid4().hex}")
    with ExitStack() as stack:
        broker = stack.enter_context(nsq.running(nsq.best(), folder))
        handlers = {"fan": FAN, "nap": NAP, "gate": GATE, "gpu": GPU}
        steps = {"fan": ("fan",), "each": ("nap",), "gate": ("gate",), "gpu": ("gpu",)}
        steps = {step: (*names, "sum") for step, names in steps.items()}
        define(folder, handlers, steps, gpu={"required_capability": "gpu"})
        _create(folder, "patient", "gpu", when_unavailable="wait")
        yield Cluster(folder, broker, stack)


def _create(folder: Path, job: str, step: str, **fields: Any) -> None:
    with closing(open_store(settings_of(folder))) as store:
        names = {"workflow_name": WORKFLOW, "job_name": job, "initial_step_name": step}
        Entities(store).create(model.Job(**names, description="", **fields))


def places(node: Served, answer: Answer) -> Counter[str]:
    """Return how many of the children of a request ran on which node."""
    trace = node.get(answer.request_id, "/trace").body
    found: Counter[str] = Counter()
    _count(trace["root"], found)
    return found


def _count(vertex: dict[str, Any], found: Counter[str]) -> None:
    found[vertex["node_id"]] += 1
    for child in vertex.get("children", ()):
        _count(child, found)


def executing(node: Served) -> bool:
    """Whether an executor of a node is at work."""
    views = node.ask("GET", "/node", None, 60.0, {}).body["executors"]
    return any(view["state"] == "busy" for view in views)
