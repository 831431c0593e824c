"""The verbs of requests.

Every verb takes its question (``jobx/questions.py``) and returns its view. Blocking reads of the
store run in threads; everything else runs on the node's loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from contextlib import suppress
from typing import Any, Final, TypeVar

import msgspec
from thespian.actors import ActorAddress

from jobx import model, questions, views
from jobx.actors.egress.writers.registry import Writers
from jobx.actors.gateway.inspections import Inspections
from jobx.actors.gateway.waiters import Answers, within
from jobx.actors.inspection import graph, trace, trace_json, view_builders
from jobx.actors.messages import Cancel, Describe, RequestKey, Submit
from jobx.actors.ports import Services
from jobx.actors.request.capabilities import missing_capability
from jobx.actors.request.ids import invocation_id
from jobx.actors.request.tree import ROOT
from jobx.errors import (
    Conflict,
    JobxError,
    KeyReused,
    NoCapability,
    NotEnded,
    NotFound,
    OutcomeUnknown,
    StoreUnavailable,
    Unavailable,
)
from jobx.handlers.authoring.library import Library
from jobx.handlers.pairs import root_input
from jobx.handlers.pairs.root_input import RootInputs
from jobx.kv import keys
from jobx.kv.entities.entities import Entities
from jobx.kv.requests import deliveries, request_entity
from jobx.kv.store import Store
from jobx.meanings import may_have_happened

T = TypeVar("T")

#: How long a cancel waits for the end of the request before it answers with the current state.
CANCEL_WAIT_S: Final = 2.0
#: How often the store is checked for the end of a request without a coordinator here.
LOOK_S: Final = 0.5
#: How long actors may take to answer a question.
ANSWER_S: Final = 5.0
#: Arguments up to this size are checked on the loop.
QUICK_BYTES: Final = 4 << 10


class Verbs:
    """Answers the questions about requests.

    Args:
        node: The adapters of the node.
        store: The store of requests and entities.
        library: The workflows that the node knows.
        answers: Resolves the answers of actors.
        writers: The result writers.
        threads: The threads for blocking reads.
        inspectors: The threads for reads of whole logs.
        stalled: Returns why nothing can be written now; None if it can.
        deliver: Sends a message to an actor.
        supervisor: The root of the actors.
        redeliver: Delivers a result once more.
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
        inspectors: Executor,
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
        self._inspections = Inspections(inspectors)
        self._offered = frozenset(node.settings.node.capabilities)
        self._inputs = RootInputs(node.blobs, node.settings.inline_bytes)
        #: Requests with an Idempotency-Key, durable or not.
        self._keys: dict[tuple[str, str, str], tuple[str, str]] = {}

    async def submit(self, asked: questions.SubmitJob) -> views.Outcome:
        """Start a request, or find the one that was started before; see ``http/node/client.py``.

        The blob of arguments is removed if no request is started.
        """
        item = asked.arguments
        if isinstance(item, bytes) and len(item) > self._inputs.inline_bytes:
            key = asked.workflow, model.check_name("request", asked.request_id)
            kept = await self._in_thread(lambda: self._inputs.keep(*key, item))
            asked = msgspec.structs.replace(asked, arguments=kept)
        try:
            outcome = await self._submit(asked)
        except JobxError as error:
            if not may_have_happened(error):
                await self._drop_arguments(asked)
            raise
        if outcome.request.request_id != asked.request_id:
            await self._drop_arguments(asked)
        return outcome

    async def _drop_arguments(self, asked: questions.SubmitJob) -> None:
        if isinstance(asked.arguments, bytes):
            return
        key = _key(asked)
        with suppress(JobxError):  # the janitor finds what is left, and the answer counts more
            try:
                await self._describe(key)
            except NotFound:
                await self._in_thread(lambda: self._inputs.drop(*key))

    async def _submit(self, asked: questions.SubmitJob) -> views.Outcome:
        client_key = asked.idempotency_key
        if client_key is not None:
            first = await self._first_request(asked, client_key)
            if first is not None:
                return await self._replay(first, asked)
        message = await self._build_known(asked)
        await self._check_arguments(message)
        key = RequestKey(asked.workflow, message.request.request_id)
        if client_key is None:
            return await self._start_or_find(key, message, asked)
        slot, mine = (asked.workflow, asked.job, client_key), (key.request_id, asked.fingerprint)
        first = self._keys.setdefault(slot, mine)  # nothing is awaited between this and the start
        if first is not mine:
            return await self._replay(first, asked)
        try:
            return await self._start_or_find(key, message, asked)
        finally:
            del self._keys[slot]

    async def _start_or_find(
        self, key: RequestKey, message: Submit, asked: questions.SubmitJob
    ) -> views.Outcome:
        try:
            return await self._start(key, message, asked.wait_s)
        except Conflict as error:
            return await self._find_other(key, error, asked)

    async def _start(self, key: RequestKey, message: Submit, wait_s: float) -> views.Outcome:
        is_blocking = message.request.is_blocking
        future = self._answers.ended(key) if is_blocking else self._answers.opened(key)
        self._deliver(self._supervisor, message)
        request = await within(future, wait_s if is_blocking else ANSWER_S)
        return self._outcome(request or await self._describe_asked(key))

    async def _find_other(
        self, key: RequestKey, conflict: Conflict, asked: questions.SubmitJob
    ) -> views.Outcome:
        """Return the request that took the id, or the client's key, before this one.

        It is this one if another node coordinates it now.
        """
        client_key = asked.idempotency_key
        names = key.workflow, asked.job
        if client_key is None or conflict.args[0] != keys.idempotency(*names, client_key):
            return await self._wait(key, asked.wait_s if asked.is_blocking else 0.0)
        first = await self._first_request(asked, client_key)
        if first is not None:
            return await self._replay(first, asked)
        raise conflict

    async def _first_request(
        self, asked: questions.SubmitJob, client_key: str
    ) -> tuple[str, str] | None:
        slot = (asked.workflow, asked.job, client_key)
        stored = await self._read(request_entity.idempotent, *slot)
        return stored or self._keys.get(slot)

    async def _replay(self, first: tuple[str, str], asked: questions.SubmitJob) -> views.Outcome:
        request_id, fingerprint = first
        if fingerprint != asked.fingerprint:
            reason = f"request {request_id} was asked for with it, and with another body"
            raise KeyReused("Idempotency-Key", repr(asked.idempotency_key)[:80], reason)
        key = RequestKey(asked.workflow, request_id)
        try:
            await self._describe_asked(key)
        except OutcomeUnknown as error:
            if request_id == asked.request_id:
                raise
            raise StoreUnavailable(str(error)) from error  # nothing of this one was begun
        outcome = await self._wait(key, asked.wait_s if asked.is_blocking else 0.0)
        return msgspec.structs.replace(outcome, replayed=True)

    async def _build_known(self, asked: questions.SubmitJob) -> Submit:
        """Return the order to start a request, even for a job that was created a moment ago."""
        try:
            return self._build(asked)
        except NotFound:
            if not await self._in_thread(self._library.refresh):
                raise
        return self._build(asked)

    def _build(self, asked: questions.SubmitJob) -> Submit:
        """Check the submission and return the order to start it."""
        stalled = self._stalled()
        if isinstance(stalled, OutcomeUnknown):
            raise StoreUnavailable(str(stalled))  # from others: nothing of this one was started
        if stalled is not None:
            raise stalled
        workflow, job_name = asked.workflow, asked.job
        served = self._node.settings.node.workflows
        if served and workflow not in served:
            raise NotFound("workflow in this node's node.workflows", workflow)
        job = self._library.job(workflow, job_name)
        digest, plan, plan_writes = self._library.plan(workflow)
        self._check_step(plan, workflow, job.initial_step_name)
        request = model.Request(
            workflow_name=workflow,
            request_id=model.check_name("request", asked.request_id),
            job_name=job_name,
            invocation_id=invocation_id("map", ROOT),
            is_blocking=asked.is_blocking,
            context=asked.context,
            accepted_at=self._node.now_at(),
            destination=self._writers.choose(job, asked.request_id, asked.result_writer),
            idempotency_key=asked.idempotency_key,
        )
        limit_s = self._node.settings.requests.time_limit_s
        accept = request_entity.accept_writes(
            request, self._node.node_id, asked.fingerprint, self._node.incarnation
        )
        return Submit(
            request=request,
            step=job.initial_step_name,
            plan_digest=digest,
            plan=plan,
            arguments=root_input.chunk(asked.arguments),
            time_limit_s=min(asked.time_limit_s or limit_s, limit_s),
            writes=(*plan_writes, *accept),
            reply_to=self._node.gateway,
        )

    async def _check_arguments(self, message: Submit) -> None:
        """Check the arguments against the spec of the first mapper.

        Raises:
            ArgumentsRefused: The spec does not accept them.
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
        missing = missing_capability(plan.steps[step], self._offered)
        if missing is not None:
            raise NoCapability(f"no node offers the capability {missing!r} of step {step!r}", 5.0)

    async def wait(self, asked: questions.AwaitRequest) -> views.Outcome:
        """Wait until a request has ended, or the time has run out."""
        return await self._wait(_key(asked), asked.wait_s)

    async def _wait(self, key: RequestKey, wait_s: float) -> views.Outcome:
        deadline = self._node.now() + wait_s
        while True:
            ended = self._answers.ended(key)
            try:
                request, is_here = await self._find(key)
                left_s = deadline - self._node.now()
                if request.is_done or left_s <= 0:
                    return self._outcome(request)
                with suppress(Conflict):  # another node has it: read the store
                    last = await within(ended, left_s if is_here else min(left_s, LOOK_S))
                    if last is not None:
                        return self._outcome(last)
            finally:
                ended.cancel()

    async def _describe(self, key: RequestKey) -> model.Request:
        """Return the current state of a request: from its coordinator, else from the store."""
        return (await self._find(key))[0]

    async def _find(self, key: RequestKey) -> tuple[model.Request, bool]:
        """Return the current state of a request, and whether it has a coordinator on this node."""
        ticket, future = self._answers.ticket(key)
        self._deliver(self._supervisor, Describe(key, self._node.gateway, ticket))
        request = await self._told(key, future)
        if request is not None:
            return request, True
        return await self._read(request_entity.get, *key), False

    async def _told(
        self, key: RequestKey, future: asyncio.Future[model.Request | None]
    ) -> model.Request | None:
        """Return what the coordinator of a request says; None: there is none, or it is slow.

        A coordinator says nothing of a request before that is durable. So a request that is
        neither described nor stored may exist a moment later, and is never told as missing.

        Raises:
            OutcomeUnknown: It has not been written so far, and may still be.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_S):
                return await future
        try:
            await self._read(request_entity.get, *key)
        except NotFound as error:
            raise _unknown(key) from error
        return None

    async def _describe_asked(self, key: RequestKey) -> model.Request:
        """Return the current state of a submitted request, once it is durable.

        Raises:
            OutcomeUnknown: It has not been written yet, and may still be.
        """
        try:
            return await self._describe(key)
        except NotFound as error:
            raise _unknown(key) from error

    async def get(self, asked: questions.OfRequest[views.RequestView]) -> views.RequestView:
        """Return the current state of a request."""
        request = await self._describe(_key(asked))
        return view_builders.request_view(request, await self._read(deliveries.read, request))

    async def list(self, asked: questions.ListRequests) -> views.RequestPage:
        """Return a page of requests, newest first."""
        workflow = asked.workflow
        await self._read(_check_workflow, workflow)
        return await self._read(view_builders.page, workflow, asked.state, asked.after, asked.limit)

    async def result(self, asked: questions.GetResult) -> views.ResultView:
        """Return the place of a request's result."""
        key = _key(asked)
        return view_builders.result_view(await self._describe(key), self._node.blobs.name(*key))

    async def trace(self, asked: questions.GetTrace) -> views.TraceJson:
        """Return the invocation tree of a request."""
        key, limit = _key(asked), asked.limit

        def write(store: Store) -> bytes:
            return trace_json.encode(trace.read(store, *key, limit))

        return views.TraceJson(json=await self._inspect(write))

    async def invocation(self, asked: questions.GetInvocation) -> views.TraceNode:
        """Return one invocation of a request."""
        key, name = _key(asked), asked.invocation_id
        return await self._inspect(lambda store: trace.invocation(store, *key, name))

    async def graph(self, asked: questions.GetGraph) -> views.GraphView:
        """Return the graph of a request's invocation tree as DOT text."""
        key, limit = _key(asked), asked.limit

        def write(store: Store) -> str:
            return graph.dot_text(trace.read(store, *key, limit), limit)

        return views.GraphView(dot=await self._inspect(write))

    async def cancel(self, asked: questions.CancelRequest) -> views.RequestView:
        """End a request without a result; a request that has ended is not changed."""
        key = _key(asked)
        ended = self._answers.ended(key)
        ticket, future = self._answers.ticket(key)
        self._deliver(self._supervisor, Cancel(key, asked.reason, self._node.gateway, ticket))
        try:
            request = await self._told(key, future)
            if request is not None:
                request = await within(ended, CANCEL_WAIT_S) or request
        finally:
            ended.cancel()
        if request is None:
            request = await self._read(request_entity.get, *key)
            if not request.is_done:
                raise Unavailable(f"request {key.request_id} is being recovered")
        return view_builders.request_view(request)

    async def deliver(self, asked: questions.DeliverResult) -> views.RequestView:
        """Deliver the result of a request once more, unless a delivery is under way."""
        key = _key(asked)
        request = await self._describe(key)
        if not request.is_done:
            raise NotEnded(key.request_id)
        await self._redeliver(key)
        return await self.get(asked)

    async def _read(self, read: Callable[..., T], *arguments: Any) -> T:
        return await self._in_thread(lambda: read(self._store, *arguments))

    async def _inspect(self, read: Callable[[Store], T]) -> T:
        return await self._inspections.run(lambda: read(self._store))

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def _outcome(self, request: model.Request) -> views.Outcome:
        blob_dir = self._node.blobs.name(request.workflow_name, request.request_id)
        return view_builders.outcome(request, blob_dir)


def _key(asked: questions.OfRequest[Any]) -> RequestKey:
    return RequestKey(asked.workflow, asked.request_id)


def _unknown(key: RequestKey) -> OutcomeUnknown:
    reason = "the store has not answered yet; look for the request later"
    return OutcomeUnknown(f"request {key.request_id}", reason)


def _check_workflow(store: Store, workflow: str) -> None:
    Entities(store).get(model.Workflow, workflow)


VERBS: Final[dict[type[questions.Question[Any]], Callable[[Verbs, Any], Awaitable[views.View]]]] = {
    questions.SubmitJob: Verbs.submit,
    questions.AwaitRequest: Verbs.wait,
    questions.GetRequest: Verbs.get,
    questions.ListRequests: Verbs.list,
    questions.GetResult: Verbs.result,
    questions.GetTrace: Verbs.trace,
    questions.GetInvocation: Verbs.invocation,
    questions.GetGraph: Verbs.graph,
    questions.CancelRequest: Verbs.cancel,
    questions.DeliverResult: Verbs.deliver,
}
