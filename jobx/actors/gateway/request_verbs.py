"""What can be asked of a node about requests: verbs of its gateway.

Every verb takes a map and gives a map, both of plain values. Blocking reads of the store run in
threads; everything else runs on the node's loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from contextlib import suppress
from typing import Any, Final, TypeAlias, TypeVar

from thespian.actors import ActorAddress

from jobx import model
from jobx.actors.coordination.executor_reports import invocation_id, missing_capability
from jobx.actors.egress.writers.registry import Writers
from jobx.actors.gateway.waiters import Answers, within
from jobx.actors.inspection import graph, trace, trace_json, view_builders
from jobx.actors.messages import Cancel, Describe, RequestKey, Submit
from jobx.actors.ports import Services
from jobx.actors.request.tree import ROOT
from jobx.errors import (
    Conflict,
    JobxError,
    KeyReused,
    NoCapability,
    NotEnded,
    NotFound,
    OutcomeUnknown,
    StoreRefused,
    Unavailable,
)
from jobx.handlers.authoring.library import Library
from jobx.handlers.pairs.root_input import RootInputs
from jobx.kv import keys
from jobx.kv.entities.entities import Entities
from jobx.kv.requests import deliveries, request_entity
from jobx.kv.store import Store
from jobx.meanings import may_have_happened
from jobx.payload import Payload
from jobx.views import Outcome

Body: TypeAlias = dict[str, Any]
T = TypeVar("T")

#: How long a cancelled request gets to end before its state is answered as it is.
CANCEL_WAIT_S: Final = 2.0
#: How often the store is asked for the end of a request that no coordinator here has.
LOOK_S: Final = 0.5
#: How long actors may take to answer a question.
ANSWER_S: Final = 5.0
#: Where a payload on its way has its bytes.
_INLINE: Final = 2
#: Arguments up to this are checked on the loop.
QUICK_BYTES: Final = 4 << 10


class Verbs:
    """Answers what is asked of a node.

    Args:
        node: The adapters of the node.
        store: Where requests and entities are.
        library: What is known of workflows.
        answers: Resolves what actors say.
        writers: Where results may go.
        threads: Where blocking reads run.
        stalled: Returns why nothing can be written now, or None.
        deliver: Sends a message to an actor.
        supervisor: The root of the actors.
        redeliver: Takes a result once more to where it goes.
    """

    def __init__(
        self,
        node: Services,
        store: Store,
        library: Library,
        answers: Answers,
        writers: Writers,
        *,
        threads: Executor,
        stalled: Callable[[], JobxError | None],
        deliver: Callable[[ActorAddress, object], None],
        supervisor: ActorAddress,
        redeliver: Callable[[RequestKey], Awaitable[None]],
    ) -> None:
        self._node = node
        self._store = store
        self._library = library
        self._answers = answers
        self._writers = writers
        self._stalled = stalled
        self._deliver = deliver
        self._supervisor = supervisor
        self._redeliver = redeliver
        self._threads = threads
        self._inputs = RootInputs(node.blobs, node.settings.executors.inline_bytes)
        #: Requests that are asked for with an Idempotency-Key, durable or not.
        self._keys: dict[tuple[str, str, str], tuple[str, str]] = {}

    async def submit(self, body: Body) -> Body:
        """Start a request, or find the one that was started before; see ``http/node/client.py``.

        The arguments come packed, or in a blob: it is removed when they start nothing.
        """
        item = body["arguments"][_INLINE]
        if item is not None and len(item) > self._inputs.inline_bytes:
            key = body["workflow"], model.check_name("request", body["request_id"])
            payload = await self._in_thread(lambda: self._inputs.keep(*key, item))
            body = {**body, "arguments": payload.to_wire()}
        try:
            outcome = await self._submit(body)
        except JobxError as error:
            if not may_have_happened(error):
                await self._drop_arguments(body)
            raise
        if outcome["request"]["request_id"] != body["request_id"]:
            await self._drop_arguments(body)
        return outcome

    async def _drop_arguments(self, body: Body) -> None:
        key = RequestKey(body["workflow"], body["request_id"])
        if Payload.from_wire(body["arguments"]).blob is None:
            return
        try:
            await self._describe(key)
        except NotFound:
            with suppress(JobxError):  # else the janitor finds them
                await self._in_thread(lambda: self._inputs.drop(*key))

    async def _submit(self, body: Body) -> Body:
        workflow, job_name = body["workflow"], body["job"]
        client_key = body["idempotency_key"]
        if client_key is not None:
            first = await self._first_request(workflow, job_name, client_key)
            if first is not None:
                return await self._replay(workflow, first, body)
        message = await self._build_known(body)
        await self._check_arguments(message)
        key = RequestKey(workflow, message.request.request_id)
        slot = (workflow, job_name, client_key)
        if client_key is not None:
            self._keys[slot] = (key.request_id, body["fingerprint"])
        try:
            return await self._start(key, message, body["wait_s"])
        except Conflict as error:
            return await self._find_other(key, error, body)
        finally:
            self._keys.pop(slot, None)

    async def _start(self, key: RequestKey, message: Submit, wait_s: float) -> Body:
        is_blocking = message.request.is_blocking
        future = self._answers.ended(key) if is_blocking else self._answers.opened(key)
        self._deliver(self._supervisor, message)
        request = await within(future, wait_s if is_blocking else ANSWER_S)
        return self._outcome(request or await self._describe_asked(key))

    async def _find_other(self, key: RequestKey, conflict: Conflict, body: Body) -> Body:
        """Return the request that took the id, or the client's key, before this one.

        Or this one, when somebody else coordinates it now.
        """
        client_key = body["idempotency_key"]
        names = key.workflow, body["job"]
        if client_key is None or conflict.args[0] != keys.idempotency(*names, client_key):
            return await self._wait(key, body["wait_s"] if body["is_blocking"] else 0.0)
        first = await self._first_request(*names, client_key)
        if first is not None:
            return await self._replay(key.workflow, first, body)
        raise conflict

    async def _first_request(
        self, workflow: str, job: str, client_key: str
    ) -> tuple[str, str] | None:
        stored = await self._read(request_entity.idempotent, workflow, job, client_key)
        # Looked at last: nothing comes between this and what the caller does about it.
        return stored or self._keys.get((workflow, job, client_key))

    async def _replay(self, workflow: str, first: tuple[str, str], body: Body) -> Body:
        request_id, fingerprint = first
        if fingerprint != body["fingerprint"]:
            reason = f"request {request_id} was asked for with it, and with another body"
            raise KeyReused("Idempotency-Key", repr(body["idempotency_key"])[:80], reason)
        key = RequestKey(workflow, request_id)
        await self._describe_asked(key)
        wait_s = body["wait_s"] if body["is_blocking"] else 0.0
        return {**await self._wait(key, wait_s), "replayed": True}

    async def _build_known(self, body: Body) -> Submit:
        """Return the order to start a request, also of a job that was created a moment ago."""
        try:
            return self._build(body)
        except NotFound:
            if not await self._in_thread(self._library.refresh):
                raise
        return self._build(body)

    def _build(self, body: Body) -> Submit:
        """Check what is asked for and return the order to start it."""
        stalled = self._stalled()
        if isinstance(stalled, OutcomeUnknown):
            raise StoreRefused(*stalled.args)  # of others' writes: nothing of this one was begun
        if stalled is not None:
            raise stalled
        workflow, job_name = body["workflow"], body["job"]
        served = self._node.settings.node.workflows
        if served and workflow not in served:
            raise NotFound("workflow in this node's node.workflows", workflow)
        job = self._library.job(workflow, job_name)
        digest, plan, plan_writes = self._library.plan(workflow)
        self._check_step(plan, workflow, job.initial_step_name)
        request = model.Request(
            workflow_name=workflow,
            request_id=model.check_name("request", body["request_id"]),
            job_name=job_name,
            invocation_id=invocation_id("map", ROOT),
            is_blocking=body["is_blocking"],
            context=body["context"],
            accepted_at=self._node.now_at(),
            destination=self._writers.choose(job, body["request_id"], body.get("result_writer")),
            idempotency_key=body["idempotency_key"],
        )
        limit_s = self._node.settings.requests.time_limit_s
        accept = request_entity.accept_writes(
            request, self._node.node_id, body["fingerprint"], self._node.incarnation
        )
        return Submit(
            request=request,
            step=job.initial_step_name,
            plan_digest=digest,
            plan=plan,
            arguments=Payload.from_wire(body["arguments"]),
            time_limit_s=min(body["time_limit_s"] or limit_s, limit_s),
            writes=(*plan_writes, *accept),
            reply_to=self._node.gateway,
        )

    async def _check_arguments(self, message: Submit) -> None:
        """Check that the first mapper takes the arguments, as far as its spec tells.

        Raises:
            ArgumentsRefused: It does not.
        """
        request, payload = message.request, message.arguments
        takes = self._library.takes(request.workflow_name, message.step)
        if takes is None:
            return

        def check() -> None:
            given = self._inputs.read(request.workflow_name, request.request_id, payload)
            takes.check(f"{request.workflow_name}/{request.job_name}", given)

        if payload.inline is not None and len(payload.inline) <= QUICK_BYTES:
            check()
        else:
            await self._in_thread(check)

    def _check_step(self, plan: model.Plan, workflow: str, step: str) -> None:
        if step not in plan.steps:
            raise self._library.unplanned(workflow, step)
        offered = frozenset(self._node.settings.node.capabilities)
        missing = missing_capability(plan.steps[step], offered)
        if missing is not None:
            raise NoCapability(f"no node offers the capability {missing!r} of step {step!r}", 5.0)

    async def wait(self, body: Body) -> Body:
        """Wait until a request has ended, or the time is over."""
        return await self._wait(RequestKey(body["workflow"], body["request_id"]), body["wait_s"])

    async def _wait(self, key: RequestKey, wait_s: float) -> Body:
        deadline = self._node.now() + wait_s
        while True:
            ended = self._answers.ended(key)
            try:
                request, is_here = await self._find(key)
                left_s = deadline - self._node.now()
                if request.is_done or left_s <= 0:
                    return self._outcome(request)
                with suppress(Conflict):  # somebody else coordinates it: the store tells its end
                    last = await within(ended, left_s if is_here else min(left_s, LOOK_S))
                    if last is not None:
                        return self._outcome(last)
            finally:
                ended.cancel()

    async def _describe(self, key: RequestKey) -> model.Request:
        """Return a request as it stands: from its coordinator, else from the store."""
        return (await self._find(key))[0]

    async def _find(self, key: RequestKey) -> tuple[model.Request, bool]:
        """Return a request as it stands, and whether a coordinator of this node has it."""
        ticket, future = self._answers.ticket(key)
        self._deliver(self._supervisor, Describe(key, self._node.gateway, ticket))
        request = await within(future, ANSWER_S)
        if request is not None:
            return request, True
        return await self._read(request_entity.get, *key), False

    async def _describe_asked(self, key: RequestKey) -> model.Request:
        """Return a request that was asked for as it stands, once it is durable.

        Raises:
            OutcomeUnknown: It has not been written so far, and may still be.
        """
        try:
            return await self._describe(key)
        except NotFound as error:
            reason = "the store has not answered yet; look for the request later"
            raise OutcomeUnknown(f"request {key.request_id}", reason) from error

    async def get(self, body: Body) -> Body:
        """Return a request as it stands."""
        request = await self._describe(RequestKey(body["workflow"], body["request_id"]))
        sent = await self._read(deliveries.read, request)
        return view_builders.plain(view_builders.request_view(request, sent))

    async def list(self, body: Body) -> Body:
        """Return a page of requests, newest first."""
        workflow, limit = body["workflow"], body["limit"]
        await self._read(_check_workflow, workflow)
        return view_builders.plain(
            await self._read(view_builders.page, workflow, body["state"], body["after"], limit)
        )

    async def result(self, body: Body) -> Body:
        """Return where the result of a request is."""
        key = RequestKey(body["workflow"], body["request_id"])
        request = await self._describe(key)
        return view_builders.plain(view_builders.result_view(request, self._node.blobs.name(*key)))

    async def trace(self, body: Body) -> Body:
        """Return the invocation tree of a request, as the JSON of a TraceView."""
        key, limit = (body["workflow"], body["request_id"]), body.get("limit")

        def write(store: Store) -> bytes:
            return trace_json.encode(trace.read(store, *key, limit or trace.DEFAULT_LIMIT))

        return {"json": await self._read(write)}

    async def invocation(self, body: Body) -> Body:
        """Return one invocation of a request."""
        named = (body["workflow"], body["request_id"], body["invocation_id"])
        return view_builders.plain(await self._read(trace.invocation, *named))

    async def graph(self, body: Body) -> Body:
        """Return the graph of a request's invocation tree as DOT text."""
        key, limit = (body["workflow"], body["request_id"]), body["limit"]

        def write(store: Store) -> str:
            return graph.dot_text(trace.read(store, *key, limit), limit)

        return {"dot": await self._read(write)}

    async def cancel(self, body: Body) -> Body:
        """End a request without a result; one that has ended stays as it is."""
        key = RequestKey(body["workflow"], body["request_id"])
        ended = self._answers.ended(key)
        ticket, future = self._answers.ticket(key)
        self._deliver(self._supervisor, Cancel(key, body["reason"], self._node.gateway, ticket))
        try:
            request = await within(future, ANSWER_S)
            if request is not None:
                request = await within(ended, CANCEL_WAIT_S) or request
        finally:
            ended.cancel()
        if request is None:
            request = await self._read(request_entity.get, *key)
            if not request.is_done:
                raise Unavailable(f"request {key.request_id} is being recovered")
        return view_builders.plain(view_builders.request_view(request))

    async def deliver(self, body: Body) -> Body:
        """Deliver the result of a request once more; one that is on its way stays as it is."""
        key = RequestKey(body["workflow"], body["request_id"])
        request = await self._describe(key)
        if not request.is_done:
            raise NotEnded(key.request_id)
        await self._redeliver(key)
        return await self.get(body)

    # How

    async def _read(self, read: Callable[..., T], *arguments: Any) -> T:
        return await self._in_thread(lambda: read(self._store, *arguments))

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def _outcome(self, request: model.Request) -> Body:
        blob_dir = self._node.blobs.name(request.workflow_name, request.request_id)
        outcome: Outcome = view_builders.outcome(request, blob_dir)
        return view_builders.plain(outcome)


def _check_workflow(store: Store, workflow: str) -> None:
    Entities(store).get(model.Workflow, workflow)


VERBS: Final[dict[str, Callable[[Verbs, Body], Awaitable[Body]]]] = {
    "submit": Verbs.submit,
    "wait": Verbs.wait,
    "request.get": Verbs.get,
    "request.list": Verbs.list,
    "request.result": Verbs.result,
    "request.trace": Verbs.trace,
    "request.invocation": Verbs.invocation,
    "request.graph": Verbs.graph,
    "request.cancel": Verbs.cancel,
    "request.deliver": Verbs.deliver,
}
