"""JobX: a node in a process of its own, asked through its gateway as web workers ask it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec

from jobx import config_loading, model
from jobx.config import ENV_PREFIX, Settings
from jobx.errors import NodeUnreachable
from jobx.handlers.authoring.sync import sync
from jobx.handlers.pairs import root_input, run_merger
from jobx.kv.entities.entities import Entities
from jobx.kv.opening import open_store
from jobx.kv.requests import request_entity
from jobx.payload import Payload
from jobx.questions import AwaitRequest, GetNode, SubmitJob
from jobx.tools.shared.gateway_client import GatewayClient
from jobx.values import Pair, Value
from tests.bench import measure, work
from tests.bench.peers.base import Call, Peer
from tests.bench.works import HANDLERS, PROCESSES
from tests.support.waiting import eventually

WORKFLOW = "bench"
_HANDLERS = Path(__file__).parent.parent / "handlers"
#: Mappers by step; most steps have the same reducer.
_STEPS = {
    "number": "map_number",
    "fan": "fan_out",
    "split": "split_text",
    "count": "count_chunk",
    "words": "yield_words",
    "fan_keys": "fan_keys",
    "keys": "distinct_keys",
    "sleep": "sleep",
    "measure": "measure_text",
    "give": "give_text",
}
#: First steps by job.
_JOBS = {
    "one": "number",
    "fan": "fan",
    "words": "split",
    "keys": "fan_keys",
    "sleep": "sleep",
    "measure": "measure",
    "give": "give",
}
_REDUCERS = {"give": "first_value"}

_START_S = 30.0
_STOP_S = 30.0
_WAIT_S = 30.0
_LIMIT_S = 600.0


class JobxPeer(Peer):
    def __init__(
        self, folder: Path, command: tuple[str, ...] = ("node",), store_url: str = ""
    ) -> None:
        super().__init__(folder)
        #: What is stopped after it.
        self.after = ExitStack()
        self.settings = settings(folder, store_url)
        create_entities(self.settings)
        words = (*command, "--data", str(folder), "--executors", str(PROCESSES))
        environ = {k: v for k, v in os.environ.items() if not k.startswith(ENV_PREFIX)}
        environ["JOBX_STORE_URL"] = store_url
        # The widest fan-out has a mapper more than the default allows: the one that maps.
        environ["JOBX_REQUESTS_MAX_INVOCATIONS"] = "0"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "jobx.tools.cli", *words], env=environ
        )
        self._gateway: GatewayClient = eventually(self._connect, _START_S)
        self._node_pid = self._gateway.call(GetNode()).pid

    def _connect(self) -> GatewayClient | None:
        if self._process.poll() is not None:
            raise NodeUnreachable("it ended while it started")
        try:
            return GatewayClient(self.settings.gateway_path)
        except NodeUnreachable:
            return None

    @property
    def watched_pid(self) -> int:
        return self._node_pid

    @property
    def root_pid(self) -> int:
        return self._process.pid

    def client(self) -> Call:
        gateway = GatewayClient(self.settings.gateway_path)
        return lambda number: dict(_ask(gateway, "one", number=number))

    def fanout(self, count: int) -> dict[int, int]:
        return dict(self._ask("fan", count=count))

    def wordcount(self, path: str) -> dict[str, int]:
        return self._count_words(path, "count")

    def wordcount_pairs(self, path: str) -> dict[str, int]:
        return self._count_words(path, "words")

    def _count_words(self, path: str, step: str) -> dict[str, int]:
        return dict(self._ask("words", path=path, chunk_bytes=work.CHUNK_BYTES, step=step))

    def reduce_keys(self, children: int, keys: int) -> Callable[[], None]:
        pairs = self._ask("keys", children=children, keys=keys)
        return lambda: work.check_keys(pairs, children * keys)

    def _ask(self, job: str, **arguments: Value) -> Iterator[Pair]:
        return _ask(self._gateway, job, **arguments)

    def close(self) -> None:
        self._gateway.close()
        self._process.terminate()
        self._process.wait(timeout=_STOP_S)
        self.after.close()


def settings(folder: Path, store_url: str = "") -> Settings:
    """Return the settings of a node on a folder."""
    flags = {"node.data_dir": str(folder), "store.url": store_url}
    return config_loading.load(None, {}, flags)


def create_entities(of: Settings) -> None:
    """Store the workflow of all works."""
    with closing(open_store(of)) as store:
        entities = Entities(store)
        about = {"workflow_name": WORKFLOW, "description": "benchmark"}
        entities.create(model.Workflow(**about))
        report = sync(entities, WORKFLOW, _HANDLERS)
        assert not report.failed, report
        for name, mapper in _STEPS.items():
            both = {
                "map_handler_name": mapper,
                "reduce_handler_name": _REDUCERS.get(name, "add_up"),
            }
            entities.create(model.Step(**about, step_name=name, **both))
        for name, step in _JOBS.items():
            entities.create(model.Job(**about, job_name=name, initial_step_name=step))


def create_others(of: Settings, count: int) -> list[str]:
    """Store workflows of ``HANDLERS`` handlers, each with the job ``one``; return their names."""
    needed = ("map_number", "add_up")
    names = [f"other_{number}" for number in range(count)]
    with closing(open_store(of)) as store:
        entities = Entities(store)
        handlers = entities.list(model.Handler, WORKFLOW)
        handlers.sort(key=lambda handler: handler.handler_name not in needed)
        step = entities.get(model.Step, WORKFLOW, "number")
        job = entities.get(model.Job, WORKFLOW, "one")
        for name in names:
            entities.create(model.Workflow(workflow_name=name, description="benchmark"))
            for entity in (*handlers[:HANDLERS], step, job):
                entities.create(msgspec.structs.replace(entity, workflow_name=name))
    return names


def _ask(gateway: GatewayClient, job: str, **arguments: Value) -> Iterator[Pair]:
    """Return the pairs of the result of a request, when it has ended."""
    asked = submission(job, **arguments)
    wait = AwaitRequest(workflow=WORKFLOW, request_id=asked.request_id, wait_s=_WAIT_S)
    answer = gateway.call(asked)
    while answer.request.state == "running":
        answer = gateway.call(wait)
    result = answer.result
    if result is None:
        raise work.WrongResultError(f"{job}: {answer.request}")
    return run_merger.pairs(map(Payload.from_wire, result.payloads), result.blob_dir)


def submission(job: str, **arguments: Value) -> SubmitJob:
    """Return what a node is asked to do a job with."""
    return SubmitJob(
        workflow=WORKFLOW,
        request_id=request_entity.new_id(time.time(), os.urandom(10)),
        job=job,
        arguments=root_input.pack(arguments),
        wait_s=_WAIT_S,
        time_limit_s=_LIMIT_S,
    )


if __name__ == "__main__":
    measure.main("jobx", JobxPeer)
