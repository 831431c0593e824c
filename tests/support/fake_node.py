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
from typing import Any

import msgspec

from jobx import frames, model, values
from jobx.actors.inspection import trace_json
from jobx.actors.inspection.graph import dot_text
from jobx.errors import (
    AlreadyExists,
    InUse,
    JobxError,
    KeyReused,
    NotEnded,
    NotFound,
    from_wire,
)
from jobx.frames import Frame
from jobx.model import Failure
from jobx.payload import Payload
from jobx.views import (
    ActorView,
    NodeView,
    Outcome,
    RequestPage,
    RequestView,
    ResultView,
    TraceNode,
    TraceView,
)

JOBS = ("count", "pairs", "fail", "slow")
KINDS = {
    "workflow": model.Workflow,
    "job": model.Job,
    "step": model.Step,
    "handler": model.Handler,
}


class FakeNode:
    """Answers every verb of the gateway; what it was asked is in ``calls``."""

    def __init__(self, blob_dir: Path | None = None) -> None:
        self.calls: list[tuple[str, Frame]] = []
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

    async def call(self, verb: str, body: Frame, timeout_s: float = 1.0) -> Frame:
        """Answer as over the gateway: through the frame codec, errors through their wires."""
        sent = frames.decode_body(frames.encode({"id": 1, "verb": verb, "body": body})[4:])
        received = frames.decode_body(frames.encode(await self.answer(sent))[4:])
        if "error" in received:
            raise from_wire(received["error"])
        answer: Frame = received["ok"]
        return answer

    async def attend(self, verb: str, body: Frame, wait_s: float) -> Outcome:
        """Answer a verb that waits."""
        return msgspec.convert(await self.call(verb, {**body, "wait_s": wait_s}), Outcome)

    async def answer(self, frame: Frame) -> Frame:
        """Return the answer to a frame."""
        verb, body = frame["verb"], frame["body"]
        self.calls.append((verb, body))
        try:
            if self.error is not None:
                raise self.error
            answer = getattr(self, "_" + verb.replace(".", "_"))(body)
            ok = await answer if asyncio.iscoroutine(answer) else answer
        except JobxError as error:
            return {"id": frame["id"], "error": error.to_wire()}
        return {"id": frame["id"], "ok": msgspec.to_builtins(ok, builtin_types=(bytes,))}

    def last(self, verb: str) -> Frame:
        """Return the body of the last call of a verb."""
        return next(body for name, body in reversed(self.calls) if name == verb)

    def count(self, verb: str) -> int:
        """Return how often a verb was called."""
        return sum(name == verb for name, _ in self.calls)

    def release(self, pairs: list[tuple[Any, Any]]) -> None:
        """Finish every request that is running; in the node's event loop."""
        for request in list(self._requests.values()):
            if request.state == "running":
                self._succeed(request.request_id, pairs)

    def _hello(self, body: Frame) -> Frame:
        return {"protocol": 1, "node_id": "fake", "version": body["version"]}

    async def _submit(self, body: Frame) -> Outcome:
        key, fingerprint = body["idempotency_key"], body["fingerprint"]
        if key in self._keys:
            request_id, first = self._keys[key]
            if first != fingerprint:
                raise KeyReused("header Idempotency-Key", key, "came with another body before")
            return await self._outcome(request_id, body["wait_s"], replayed=True)
        request_id = body["request_id"]
        if key:
            self._keys[key] = (request_id, fingerprint)
        if request_id not in self._requests:
            self._accept(body)
        return await self._outcome(request_id, body["wait_s"])

    def _accept(self, body: Frame) -> None:
        if body["job"] not in JOBS:
            raise NotFound("job", body["job"])
        request_id = body["request_id"]
        self._finished[request_id] = asyncio.Event()
        self._requests[request_id] = RequestView(
            request_id=request_id,
            workflow_name=body["workflow"],
            job_name=body["job"],
            state="running",
            is_blocking=body["is_blocking"],
            accepted_at=time.time(),
            context=body["context"],
            idempotency_key=body["idempotency_key"],
        )
        arguments = dict(values.unpack(Payload.from_wire(body["arguments"]).inline or b"\x90"))
        if body["job"] == "count":
            self._succeed(request_id, sorted(Counter(arguments["text"].split()).items()))
        elif body["job"] == "pairs":
            self._succeed(
                request_id, [(n, arguments.get("value", n)) for n in range(arguments["count"])]
            )
        elif body["job"] == "fail":
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

    async def _wait(self, body: Frame) -> Outcome:
        self._request(body)
        return await self._outcome(body["request_id"], body["wait_s"])

    def _request(self, body: Frame) -> RequestView:
        request = self._requests.get(body["request_id"])
        if request is None or request.workflow_name != body["workflow"]:
            raise NotFound("request", body["request_id"])
        return request

    def _request_get(self, body: Frame) -> RequestView:
        return self._request(body)

    def _request_list(self, body: Frame) -> RequestPage:
        newest_first = list(reversed(self._requests.values()))
        if body["after"]:
            ids = [request.request_id for request in newest_first]
            newest_first = newest_first[ids.index(body["after"]) + 1 :]
        found = [one for one in newest_first if body["state"] in (None, one.state)]
        page = found[: body["limit"]]
        more = len(found) > len(page)
        return RequestPage(requests=page, next=page[-1].request_id if more else None)

    def _request_trace(self, body: Frame) -> Frame:
        return {"json": trace_json.encode(self._trace(body))}

    def _trace(self, body: Frame) -> TraceView:
        root = TraceNode(
            invocation_id="i0",
            kind="map",
            state="succeeded",
            step_name="first",
            handler_name="words",
            session=values.to_jsonable(self.session),
        )
        return TraceView(request=self._request(body), root=root)

    def _request_invocation(self, body: Frame) -> TraceNode:
        root = self._trace(body).root
        assert root is not None
        if body["invocation_id"] != "m0":
            raise NotFound("invocation", body["invocation_id"])
        return msgspec.structs.replace(root, invocation_id="m0", output="é, printed\n")

    def _request_graph(self, body: Frame) -> Frame:
        return {"dot": dot_text(self._trace(body), body["limit"])}

    def _request_deliver(self, body: Frame) -> RequestView:
        request = self._request(body)
        if request.state == "running":
            raise NotEnded(request.request_id)
        if not request.deliveries:
            raise NotFound("delivery of a result", request.request_id)
        return request

    def _request_cancel(self, body: Frame) -> RequestView:
        failure = Failure(kind="cancelled", type="Cancelled", message=body["reason"])
        if self._request(body).state == "running":
            self._finish(body["request_id"], state="cancelled", failure=failure)
        return self._request(body)

    def _entity_create(self, body: Frame) -> Frame:
        name = self._entity_name(body["kind"], body["fields"])
        if name in self._entities:
            raise AlreadyExists(body["kind"], name[2])
        return self._entity_put(body)

    def _entity_put(self, body: Frame) -> Frame:
        entity = model.convert(KINDS[body["kind"]], body["kind"], body["fields"])
        fields: dict[str, Any] = msgspec.to_builtins(entity)
        self._entities[self._entity_name(body["kind"], fields)] = fields
        return {"entity": fields}

    def _entity_get(self, body: Frame) -> Frame:
        found = self._entities.get((body["kind"], body["workflow"], body["name"]))
        if found is None:
            raise NotFound(body["kind"], body["name"])
        return {"entity": found}

    def _entity_delete(self, body: Frame) -> Frame:
        self._entity_get(body)
        used = body["kind"] == "workflow" and len(self._entities) > 1
        if used and not body["force"]:
            raise InUse("workflow", body["name"], "its jobs")
        del self._entities[body["kind"], body["workflow"], body["name"]]
        return {"broken": ["job count"] if used else []}

    def _entity_list(self, body: Frame) -> Frame:
        names = sorted(
            name
            for name in self._entities
            if name[0] == body["kind"]
            and body["workflow"] in (None, name[1])
            and name[2] > (body["after"] or "")
        )
        page = names[: body["limit"]]
        more = len(names) > len(page)
        entities = [self._entities[name] for name in page]
        return {"entities": entities, "next": page[-1][2] if more else None}

    def _entity_name(self, kind: str, fields: Frame) -> tuple[str, str, str]:
        return kind, fields.get("workflow_name", ""), fields.get(f"{kind}_name", "")

    def _node_ready(self, body: Frame) -> Frame:
        return {"state": self.state, "trouble": self.trouble}

    def _node_status(self, body: Frame) -> NodeView:
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

    def _actors_tree(self, body: Frame) -> Frame:
        actor = ActorView(address="a1", name="Supervisor", state="idle", mailbox=0, age_s=1.0)
        return {"actors": [actor]}


class FakeGateway:
    """Serves a fake node at a Unix socket; in one event loop."""

    def __init__(self, node: FakeNode, path: Path) -> None:
        self._node = node
        self._path = path
        self._writers: set[asyncio.StreamWriter] = set()
        self._answering: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen."""
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, str(self._path))

    async def kill(self) -> None:
        """Vanish, as a killed process does: no answer, no farewell."""
        assert self._server is not None
        self._server.close()
        for answering in self._answering:
            answering.cancel()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        decoder = frames.FrameDecoder()
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(1 << 16):
                for frame in decoder.feed(chunk):
                    answering = asyncio.create_task(self._answer(frame, writer))
                    self._answering.add(answering)
                    answering.add_done_callback(self._answering.discard)
        self._writers.discard(writer)
        writer.close()

    async def _answer(self, frame: Frame, writer: asyncio.StreamWriter) -> None:
        answer = frames.encode(await self._node.answer(frame))
        if not writer.is_closing():
            writer.write(answer)


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
