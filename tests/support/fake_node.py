"""A node that keeps its requests and entities in memory, and a gateway that serves it.

It runs four jobs: ``count`` (the words of the argument ``text``), ``pairs`` (as many pairs as the
argument ``count`` says), ``fail`` (with the node's ``failure``) and ``slow`` (until ``release``).
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from jobx import model, questions, values
from jobx.actors.gateway.server import Gateway, _Connection
from jobx.actors.inspection import trace_json
from jobx.actors.inspection.graph import dot_text
from jobx.errors import AlreadyExists, InUse, JobxError, KeyReused, NotEnded, NotFound
from jobx.model import Failure
from jobx.payload import Payload
from jobx.questions import (
    Attended,
    AwaitRequest,
    CancelRequest,
    CreateEntity,
    DeleteEntity,
    DeliverResult,
    GetEntity,
    GetGraph,
    GetInvocation,
    GetNode,
    GetReadiness,
    GetRequest,
    GetTrace,
    ListActors,
    ListEntities,
    ListRequests,
    OfRequest,
    PutEntity,
    Question,
    SubmitJob,
)
from jobx.views import (
    ActorTree,
    ActorView,
    DeletionView,
    EntityPage,
    EntityView,
    GraphView,
    NodeView,
    Outcome,
    ReadinessView,
    RequestPage,
    RequestView,
    ResultView,
    TraceJson,
    TraceNode,
    TraceView,
    View,
)

A = TypeVar("A", bound=View)
JOBS = ("count", "pairs", "fail", "slow")
KINDS = {
    "workflow": model.Workflow,
    "job": model.Job,
    "step": model.Step,
    "handler": model.Handler,
}


class FakeNode:
    """Answers every question of the gateway; what it was asked is in ``calls``."""

    def __init__(self, blob_dir: Path | None = None) -> None:
        self.calls: list[Question[Any]] = []
        self.failure = Failure(kind="author", type="ValueError", message="no such word")
        self.error: JobxError | Exception | None = None
        self.state = "running"
        self.trouble: str | None = None
        self.session: dict[str, Any] | None = None
        self._blob_dir = blob_dir
        self._requests: dict[str, RequestView] = {}
        self._results: dict[str, ResultView] = {}
        self._keys: dict[str, tuple[str, str]] = {}
        self._entities: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._finished: dict[str, asyncio.Event] = {}

    async def call(self, question: Question[A], timeout_s: float = 1.0) -> A:
        """Answer as over the gateway: through the codec of the wire."""
        _, asked = questions.decode_call(questions.encode_call(1, question)[4:])
        try:
            sent = questions.encode_answer(1, await self.answer(asked))
        except JobxError as error:
            sent = questions.encode_error(1, error)
        _, reply = questions.decode_reply(sent[4:])
        if isinstance(reply, JobxError):
            raise reply
        return questions.decode_answer(question, reply)

    async def attend(self, question: Attended) -> Outcome:
        """Answer a question that waits."""
        return await self.call(question)

    async def answer(self, question: Question[Any]) -> View:
        """Return the answer to a question, as ``Node.call`` does."""
        self.calls.append(question)
        if self.error is not None:
            raise self.error
        answer = getattr(self, "_" + question.verb.replace(".", "_"))(question)
        return await answer if asyncio.iscoroutine(answer) else answer

    def last(self, verb: str) -> Any:
        """Return the last question of a verb."""
        return next(asked for asked in reversed(self.calls) if asked.verb == verb)

    def count(self, verb: str) -> int:
        """Return how often a verb was called."""
        return sum(asked.verb == verb for asked in self.calls)

    def release(self, pairs: list[tuple[Any, Any]]) -> None:
        """Finish every request that is running; in the node's event loop."""
        for request in list(self._requests.values()):
            if request.state == "running":
                self._succeed(request.request_id, pairs)

    async def _submit(self, asked: SubmitJob) -> Outcome:
        key, fingerprint = asked.idempotency_key, asked.fingerprint
        if key in self._keys:
            request_id, first = self._keys[key]
            if first != fingerprint:
                raise KeyReused("header Idempotency-Key", key, "came with another body before")
            return await self._outcome(request_id, asked.wait_s, replayed=True)
        request_id = asked.request_id
        if key:
            self._keys[key] = (request_id, fingerprint)
        if request_id not in self._requests:
            self._accept(asked)
        return await self._outcome(request_id, asked.wait_s)

    def _accept(self, asked: SubmitJob) -> None:
        if asked.job not in JOBS:
            raise NotFound("job", asked.job)
        request_id = asked.request_id
        self._finished[request_id] = asyncio.Event()
        self._requests[request_id] = RequestView(
            request_id=request_id,
            workflow_name=asked.workflow,
            job_name=asked.job,
            state="running",
            is_blocking=asked.is_blocking,
            accepted_at=time.time(),
            context=asked.context,
            idempotency_key=asked.idempotency_key,
        )
        arguments = dict(values.unpack(asked.arguments))
        if asked.job == "count":
            self._succeed(request_id, sorted(Counter(arguments["text"].split()).items()))
        elif asked.job == "pairs":
            self._succeed(
                request_id, [(n, arguments.get("value", n)) for n in range(arguments["count"])]
            )
        elif asked.job == "fail":
            self._finish(request_id, state="failed", failure=self.failure)

    def _succeed(self, request_id: str, pairs: list[tuple[Any, Any]]) -> None:
        run = b"".join(values.pack([key, [value]]) for key, value in pairs)
        payload = Payload(len(pairs), len(run), inline=run)
        if self._blob_dir is not None:
            (self._blob_dir / request_id).write_bytes(run)
            payload = Payload(len(pairs), len(run), blob=request_id, checksum=zlib.crc32(run))
        self._results[request_id] = ResultView(
            request_id=request_id,
            pairs=len(pairs),
            size_bytes=len(run),
            payloads=[payload.to_wire()],
            blob_dir=str(self._blob_dir or "/nowhere"),
        )
        self._finish(request_id, state="succeeded", result_pairs=len(pairs))

    def _finish(self, request_id: str, **changes: Any) -> None:
        request = self._requests[request_id]
        changed = msgspec.structs.replace(request, finished_at=time.time(), **changes)
        self._requests[request_id] = changed
        self._finished[request_id].set()

    async def _outcome(self, request_id: str, wait_s: float, replayed: bool = False) -> Outcome:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._finished[request_id].wait()
        request, result = self._requests[request_id], self._results.get(request_id)
        return Outcome(request=request, result=result, replayed=replayed)

    async def _wait(self, asked: AwaitRequest) -> Outcome:
        self._request(asked)
        return await self._outcome(asked.request_id, asked.wait_s)

    def _request(self, asked: OfRequest[Any]) -> RequestView:
        request = self._requests.get(asked.request_id)
        if request is None or request.workflow_name != asked.workflow:
            raise NotFound("request", asked.request_id)
        return request

    def _request_get(self, asked: GetRequest) -> RequestView:
        return self._request(asked)

    def _request_list(self, asked: ListRequests) -> RequestPage:
        newest_first = list(reversed(self._requests.values()))
        if asked.after:
            ids = [request.request_id for request in newest_first]
            newest_first = newest_first[ids.index(asked.after) + 1 :]
        found = [one for one in newest_first if asked.state in (None, one.state)]
        page = found[: asked.limit]
        more = len(found) > len(page)
        return RequestPage(requests=page, next=page[-1].request_id if more else None)

    def _request_trace(self, asked: GetTrace) -> TraceJson:
        return TraceJson(json=trace_json.encode(self._trace(asked)))

    def _trace(self, asked: OfRequest[Any]) -> TraceView:
        root = TraceNode(
            invocation_id="i0",
            kind="map",
            state="succeeded",
            step_name="first",
            handler_name="words",
            session=values.to_jsonable(self.session),
        )
        return TraceView(request=self._request(asked), root=root)

    def _request_invocation(self, asked: GetInvocation) -> TraceNode:
        root = self._trace(asked).root
        assert root is not None
        if asked.invocation_id != "m0":
            raise NotFound("invocation", asked.invocation_id)
        return msgspec.structs.replace(root, invocation_id="m0", output="é, printed\n")

    def _request_graph(self, asked: GetGraph) -> GraphView:
        return GraphView(dot=dot_text(self._trace(asked), asked.limit))

    def _request_deliver(self, asked: DeliverResult) -> RequestView:
        request = self._request(asked)
        if request.state == "running":
            raise NotEnded(request.request_id)
        if not request.deliveries:
            raise NotFound("delivery of a result", request.request_id)
        return request

    def _request_cancel(self, asked: CancelRequest) -> RequestView:
        failure = Failure(kind="cancelled", type="Cancelled", message=asked.reason)
        if self._request(asked).state == "running":
            self._finish(asked.request_id, state="cancelled", failure=failure)
        return self._request(asked)

    def _entity_create(self, asked: CreateEntity) -> EntityView:
        name = self._entity_name(asked.kind, values.unpack(memoryview(asked.fields)))
        if name in self._entities:
            raise AlreadyExists(asked.kind, name[2])
        return self._entity_put(asked)

    def _entity_put(self, asked: CreateEntity | PutEntity) -> EntityView:
        given = values.unpack(memoryview(asked.fields))
        fields = msgspec.to_builtins(model.convert(KINDS[asked.kind], asked.kind, given))
        self._entities[self._entity_name(asked.kind, fields)] = fields
        return EntityView(entity=fields)

    def _entity_get(self, asked: GetEntity | DeleteEntity) -> EntityView:
        found = self._entities.get((asked.kind, asked.workflow, asked.name))
        if found is None:
            raise NotFound(asked.kind, asked.name)
        return EntityView(entity=found)

    def _entity_delete(self, asked: DeleteEntity) -> DeletionView:
        self._entity_get(asked)
        used = asked.kind == "workflow" and len(self._entities) > 1
        if used and not asked.force:
            raise InUse("workflow", asked.name, "its jobs")
        del self._entities[asked.kind, asked.workflow, asked.name]
        return DeletionView(broken=["job count"] if used else [])

    def _entity_list(self, asked: ListEntities) -> EntityPage:
        names = sorted(
            name
            for name in self._entities
            if name[0] == asked.kind
            and asked.workflow in (None, name[1])
            and name[2] > (asked.after or "")
        )
        page = names[: asked.limit]
        more = len(names) > len(page)
        entities = [self._entities[name] for name in page]
        return EntityPage(entities=entities, next=page[-1][2] if more else None)

    def _entity_name(self, kind: str, fields: dict[str, Any]) -> tuple[str, str, str]:
        return kind, fields.get("workflow_name", ""), fields.get(f"{kind}_name", "")

    def _node_ready(self, asked: GetReadiness) -> ReadinessView:
        return ReadinessView(state=self.state, trouble=self.trouble)

    def _node_status(self, asked: GetNode) -> NodeView:
        return NodeView(
            node_id="fake",
            version="1",
            pid=1,
            state=self.state,
            uptime_s=1.0,
            data_dir="/nowhere",
            capabilities=["general"],
            open_requests=0,
            queued_batches=0,
            dead_letters=0,
            rss_bytes=1,
            executors=[],
        )

    def _actors_tree(self, asked: ListActors) -> ActorTree:
        actor = ActorView(address="a1", name="Supervisor", state="idle", mailbox=0, age_s=1.0)
        return ActorTree(actors=[actor])


class FakeGateway(Gateway):
    """Serves a fake node at a Unix socket; in one event loop."""

    def __init__(self, node: FakeNode, path: Path) -> None:
        super().__init__(path, "fake", node.answer)

    async def kill(self) -> None:
        """Vanish, as a killed process does: no answer, no farewell."""
        for connection in list(self._connections):
            connection.vanish()
        await self.stop()

    def _connect(self) -> _Connection:
        return _Vanishing(self._node_id, self._call, self._connections)


class _Vanishing(_Connection):
    def vanish(self) -> None:
        """Drop the connection with what was not sent."""
        if self._transport is not None:
            self._transport.abort()


@contextlib.contextmanager
def gateway_thread(node: FakeNode, path: Path) -> Iterator[asyncio.AbstractEventLoop]:
    """Serve ``node`` in a thread; gives the loop that it runs in."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    gateway = FakeGateway(node, path)
    asyncio.run_coroutine_threadsafe(gateway.start(), loop).result(10)
    try:
        yield loop
    finally:
        asyncio.run_coroutine_threadsafe(gateway.kill(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
