"""For authors' tests: run one handler, or whole jobs, in a pytest process.

    from jobx.testing import LocalWorkflow, run_handler

    def test_words_are_counted():
        result = run_handler("handlers/count_words.py", arguments={"text": "to be or not to be"})
        assert dict(result.pairs)["be"] == 2

    def test_the_job(tmp_path):
        with LocalWorkflow.of(".", tmp_path) as workflow:  # the folder of workflow.yaml
            assert workflow.run("count", {"text": "to be"}).pairs == [("be", 1), ("to", 1)]

Both run author code as a node does: in executor processes, with limits.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
import uuid
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

import msgspec
import uvloop

from jobx import entity_json, model
from jobx.actors.node import Node
from jobx.config import Settings
from jobx.config_sections import BlobSettings, StoreSettings
from jobx.errors import DeadlineExceeded, InvalidInput, RequestFailed
from jobx.handlers.authoring import sync, workflow_folder
from jobx.handlers.pairs import root_input, run_merger
from jobx.handlers.trial.single_run import Trial, TrialResult, load
from jobx.kv.entities.applying import apply_workflow
from jobx.kv.entities.entities import Entities
from jobx.kv.opening import is_here, open_store
from jobx.kv.requests import request_entity
from jobx.kv.store import DeletePrefix
from jobx.payload import Payload
from jobx.questions import GetTrace, SubmitJob
from jobx.values import Key, Pair, Value
from jobx.views import TraceView

__all__ = ["JobResult", "LocalWorkflow", "TrialResult", "run_handler"]

#: Names of a step's mapper, combiner (or None) and reducer.
StepNames: TypeAlias = tuple[str, str | None, str]
T = TypeVar("T")

_WORKFLOW: Final = "local"
#: Time limit of the node's start, of its stop, and of an answer beyond the time of a request.
_GRACE_S: Final = 30.0


def run_handler(
    file: str | Path,
    *,
    arguments: Mapping[str, Value] | None = None,
    pair: Pair | None = None,
    results: Sequence[tuple[Key, Sequence[Value]]] | None = None,
    session: Mapping[str, Value] | None = None,
    settings: Settings | None = None,
) -> TrialResult:
    """Run one handler file in a separate process.

    Args:
        file: The handler's file.
        arguments: For a mapper: a request's arguments.
        pair: For a mapper: a mapped pair, instead of arguments.
        results: For a combiner or reducer: keys with their values.
        session: For a reducer: what the mapper left.
        settings: Limits; None means the defaults.

    Raises:
        InvalidInput: The file is not a handler, or its type does not fit the input.
    """
    handler = load(Path(file))
    is_mapper = handler.handler_type == "mapper"
    wrong = (results, session) if is_mapper else (arguments, pair)
    if any(given is not None for given in wrong):
        takes = "arguments or a pair" if is_mapper else "results"
        raise InvalidInput(Path(file).name, f"a {handler.handler_type}", f"takes {takes}")
    with Trial(settings or Settings(), os.environ, file=Path(file)) as trial:
        if is_mapper:
            return trial.map(handler, arguments=arguments, pair=pair)
        return trial.reduce(handler, results or [], session)


@dataclass(frozen=True, slots=True)
class JobResult:
    """The outcome of one request of a local workflow.

    Attributes:
        state: ``succeeded``, ``failed`` or ``cancelled``.
        result: The result in key order, empty if there is none; see ``pairs``.
        failure: Why it failed, or None.
        trace: Its first thousand invocations.
        request_id: Its id.
    """

    state: str
    result: list[Pair] = field(default_factory=list)
    failure: model.Failure | None = None
    trace: TraceView | None = None
    request_id: str = ""

    @property
    def pairs(self) -> list[Pair]:
        """The result in key order.

        Raises:
            RequestFailed: There is none.
        """
        failure = self.failure
        if failure is not None:
            raise RequestFailed(self.request_id, failure.type, failure.message)
        return self.result


class LocalWorkflow:
    """A workflow on a node in this process; a context manager.

    Args:
        handlers: Folder of handler files.
        steps: Steps by name. Each is also a job of the same name.
        folder: Empty folder for the node's state, such as pytest's ``tmp_path``.
        executors: Executor processes.
        timeout_s: Time limit of one request.
        settings: Further settings; None means the defaults. In a store elsewhere (``store.url``)
            the workflow has keys of its own, which are removed in the end. Its large values are in
            the folder, whatever ``blobs.url`` says.
    """

    def __init__(
        self,
        handlers: str | Path,
        steps: Mapping[str, StepNames],
        folder: str | Path,
        *,
        executors: int = 1,
        timeout_s: float = 60.0,
        settings: Settings | None = None,
    ) -> None:
        self._workflow = _WORKFLOW
        self._declared: Path | None = None
        self._handlers = Path(handlers)
        self._steps = steps
        self._timeout_s = timeout_s
        settings = settings or Settings()
        node = msgspec.structs.replace(
            settings.node, data_dir=str(folder), executors=executors, workflows=()
        )
        self._settings = msgspec.structs.replace(
            settings, node=node, store=_own(settings.store), blobs=BlobSettings()
        )

    @classmethod
    def of(cls, declared: str | Path, folder: str | Path, **options: Any) -> LocalWorkflow:
        """Return the workflow in a folder with ``workflow.yaml``, with the jobs that it declares.

        Args:
            declared: That folder.
            folder: Empty folder for the node's state.
            options: ``executors``, ``timeout_s`` and ``settings``, as of the class.
        """
        workflow = cls(declared, {}, folder, **options)
        workflow._declared = Path(declared)
        return workflow

    def __enter__(self) -> LocalWorkflow:
        """Store the workflow and start the node.

        Raises:
            InvalidInput: A file is not a handler, or a name is invalid.
            NotFound: A step names a handler without a file, or there is no ``workflow.yaml``.
        """
        self._settings.data_dir.mkdir(parents=True, exist_ok=True)
        with closing(open_store(self._settings)) as store:
            if self._declared is None:
                self._store(Entities(store))
            else:
                wanted = workflow_folder.read(self._declared).checked
                self._workflow = wanted.workflow.workflow_name
                apply_workflow(store, wanted)
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="local-workflow")
        self._thread.start()
        try:
            self._node = Node(self._settings, os.environ)
            self._wait(self._node.start())
        except BaseException:
            self._stop_loop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._wait(self._node.stop(0.0))
        finally:
            self._stop_loop()
        if not is_here(self._settings):
            with closing(open_store(self._settings)) as store:
                store.commit([DeletePrefix("")])

    def run(self, step: str, arguments: Mapping[str, Value] | None = None) -> JobResult:
        """Run one request that begins with ``step``, or is of that job in ``workflow.yaml``.

        Raises:
            NotFound: There is no such step or job.
            DeadlineExceeded: It took longer than ``timeout_s``.
        """
        request_id = request_entity.new_id(time.time(), os.urandom(10))
        submit = SubmitJob(
            workflow=self._workflow,
            request_id=request_id,
            job=step,
            arguments=root_input.pack(arguments or {}),
            wait_s=self._timeout_s,
        )
        outcome = self._wait(self._node.call(submit))
        request, result = outcome.request, outcome.result
        if request.state == "running":
            raise DeadlineExceeded(f"a request of {step}", self._timeout_s)
        question = GetTrace(workflow=self._workflow, request_id=request_id)
        text = self._wait(self._node.call(question)).json
        trace = msgspec.json.decode(text, type=TraceView)
        pairs: list[Pair] = []
        if result is not None:
            pairs = list(run_merger.pairs(map(Payload.from_wire, result.payloads), result.blob_dir))
        return JobResult(request.state, pairs, request.failure, trace, request_id)

    def _store(self, entities: Entities) -> None:
        """Store the handlers, and a step and a job for each of the steps."""
        entities.create(model.Workflow(workflow_name=_WORKFLOW, description=""))
        for row in sync.sync(entities, _WORKFLOW, self._handlers).rows:
            if row.action == "refused":
                raise InvalidInput("handlers", row.handler, row.reason)
        for name, (mapper, combiner, reducer) in self._steps.items():
            fields = {
                "workflow_name": _WORKFLOW,
                "step_name": name,
                "description": "",
                "map_handler_name": mapper,
                "combine_handler_name": combiner,
                "reduce_handler_name": reducer,
            }
            entities.create(entity_json.convert(model.Step, f"step {name}", fields))
            entities.create(
                model.Job(
                    workflow_name=_WORKFLOW, job_name=name, description="", initial_step_name=name
                )
            )

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        limit_s = self._timeout_s + _GRACE_S
        try:
            return future.result(limit_s)
        except TimeoutError as error:
            future.cancel()
            raise DeadlineExceeded("the node of a local workflow", limit_s) from error

    def _stop_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_GRACE_S)
        self._loop.close()


def _own(store: StoreSettings) -> StoreSettings:
    """Return a store elsewhere as one that nobody else has; one that is in the folder is so."""
    if not store.url:
        return store
    return msgspec.structs.replace(store, url=f"{store.url.rstrip('/')}/local-{uuid.uuid4().hex}")
